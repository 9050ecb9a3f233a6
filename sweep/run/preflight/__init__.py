"""Checks before anything trains: how long a study would take, what would stop it, and on what it would run."""

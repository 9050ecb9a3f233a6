"""What is found out before anything trains: how long it would take, what would stop it, and on what it would run."""

"""Serves the report's page to a browser on this machine, and what the run records while it is looked at."""

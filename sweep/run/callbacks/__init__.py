"""Callbacks that follow a run event by event: progress on the screen, and the retention of artifacts."""

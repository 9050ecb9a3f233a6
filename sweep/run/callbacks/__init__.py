"""What follows a run event by event: progress on the screen, and which artifacts are kept."""

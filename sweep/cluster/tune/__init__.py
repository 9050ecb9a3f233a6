"""Training of a stage's trials in Ray Tune: the session, its scheduler, the trials, the trainers, and their files."""

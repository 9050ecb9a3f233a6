"""A stage as a Ray Tune run: the session, its scheduler, the trials, the trainers, and where their files go."""

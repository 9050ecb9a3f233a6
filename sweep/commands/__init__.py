"""The commands by what they work on: a study, a run, a checkpoint. They parse, call, and say; no logic."""

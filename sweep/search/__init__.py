"""Decides which trials a study has, how they compete, what is recorded of them, and which of them win.

The package takes events and returns plain values, and it imports neither Ray nor torch: `aesweep.training` trains the
trials, and `aesweep.cluster` decides where.
"""

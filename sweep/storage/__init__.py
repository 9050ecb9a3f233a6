"""Stores what a run leaves: its journal, its folder, its artifacts, and their replica in an object store.

`aesweep.search` interprets the journal's events for a search. This package does not depend on how models are trained.
"""

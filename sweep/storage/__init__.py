"""What a run leaves, and where it lies: its journal, its folder, its artifacts, and their copy in an object store.

What the journal's events mean for a search is the business of `aesweep.search`. Knows nothing of how anything is
trained.
"""

"""Everything that depends on Ray; no other package imports it.

`runner.py` is the interface for the rest of the project; `tune/` runs stages in Ray Tune, `remote/` reaches clusters
elsewhere. What is recorded, and which trials continue, is decided in `aesweep.search`.
"""

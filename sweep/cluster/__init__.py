"""Everything that knows Ray, and the only place that imports it.

`runner.py` is what the rest of the project calls; `tune/` runs a stage as a Tune run, `remote/` reaches clusters
elsewhere. What is recorded and who goes on is decided in `aesweep.search`.
"""

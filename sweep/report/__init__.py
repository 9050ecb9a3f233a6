"""From a run's folder to pages: rows from the journal, frames from rows, tables, sentences and figures from frames.

Reads what `aesweep.storage` holds and nothing else of a run; trains nothing and starts nothing.
"""

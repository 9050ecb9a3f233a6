"""Turns a run's folder into pages: the journal into rows, rows into frames, frames into tables, sentences and figures.

It reads a run only through `aesweep.storage`; it trains nothing and starts nothing.
"""

"""Runs in the formats of other tools, from `aesweep.results` alone: a module for each format, listed in `registry`."""

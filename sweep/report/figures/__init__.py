"""Draws matplotlib figures from rows, with a module per section of the report."""

from aesweep.report.figures.defaults import import_matplotlib

# This precedes every other import of matplotlib here, which would read settings from the user's working folder.
import_matplotlib()

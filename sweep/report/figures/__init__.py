"""Rows to matplotlib figures, a module per section of the report."""

from aesweep.report.figures.defaults import import_matplotlib

# Before any module here imports it by itself, with the settings that the user's working folder holds.
import_matplotlib()

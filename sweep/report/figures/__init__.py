"""Rows to matplotlib figures, a module per section of the report."""

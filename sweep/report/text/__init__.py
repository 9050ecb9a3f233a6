"""Formatting of the report's numbers, and of its markdown, in which text from a run is inert."""

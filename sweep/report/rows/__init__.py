"""Typed rows of what a journal records, and the published numbers that are shown beside them."""

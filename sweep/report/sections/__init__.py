"""The sections of the page, each with its table, its sentences and its figure."""

"""The parts of the page, each with its table, its sentences and its figure."""

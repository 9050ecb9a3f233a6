"""Frames of numbers computed from the rows: cells, trials, winners, and the account of what the search cost."""

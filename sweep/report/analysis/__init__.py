"""What follows from the rows, as frames of numbers: cells, trials, winners, and the account of what the search cost."""

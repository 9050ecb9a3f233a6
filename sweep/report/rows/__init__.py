"""What a journal says, as typed rows, and the published numbers beside which they are shown."""

"""Two runs side by side: what differs between them, and which of their values differ by more than seeds explain."""

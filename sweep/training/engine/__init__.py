"""Training of a stack of equally shaped models for one epoch: products, optimizer, random streams, precision."""

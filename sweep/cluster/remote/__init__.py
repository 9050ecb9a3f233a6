"""Clusters elsewhere: their file, their address and token, what is submitted to them, their GPUs, and spot notices."""

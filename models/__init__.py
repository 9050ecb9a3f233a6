"""Autoencoders, the baselines that they are compared with, and the metrics of both."""

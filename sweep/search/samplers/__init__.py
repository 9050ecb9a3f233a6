"""Samplers, which choose the configurations of a stage from its search space; each has a module."""

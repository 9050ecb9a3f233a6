"""Reads a study: its file, its typed form, its search space, the configuration of one trial, and its inputs.

Other packages derive the trials of a study and train them. This package imports neither torch nor Ray.
"""

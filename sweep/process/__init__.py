"""This process and its user, and nothing of autoencoders: what every other part stands on.

Errors with their exit codes and how messages are worded, paths as users write them, what is taken from the environment,
the search path, the standard streams, and signals. Imports nothing of the project.
"""

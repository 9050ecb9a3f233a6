"""The process and its user; every other package may build on this one.

It holds errors with their exit codes, the wording of messages, paths as users write them, the environment, the search
path, the standard streams, and signals. It has nothing to do with autoencoders and imports nothing of the project.
"""

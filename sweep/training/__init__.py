"""Training of trials in pure torch, without Ray: one trial alone in its process, or many at once as packs.

`engine/` trains a stack of models for one epoch, `checkpoints/` writes and reads models and states. Which trials are
trained, and what follows from their rows, is decided in `aesweep.search`.
"""

"""The training of trials: pure torch, without Ray; alone in a process, or many at once as packs.

`engine/` trains one epoch of a stack of models, `checkpoints/` writes and reads models and states. What is trained, and
what follows from its rows, is decided elsewhere.
"""

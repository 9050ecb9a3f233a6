"""Short import path, for notebooks, of the functions of `aesweep.training.checkpoints.model_file` that read models."""

from __future__ import annotations

from aesweep.training.checkpoints.model_file import CheckpointError, load_autoencoder, read_checkpoint

__all__ = ["CheckpointError", "load_autoencoder", "read_checkpoint"]

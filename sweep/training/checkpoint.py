"""The name under which notebooks import what reads a model; it lives in `aesweep.training.checkpoints.model_file`."""

from __future__ import annotations

from aesweep.training.checkpoints.model_file import CheckpointError, load_autoencoder, read_checkpoint

__all__ = ["CheckpointError", "load_autoencoder", "read_checkpoint"]

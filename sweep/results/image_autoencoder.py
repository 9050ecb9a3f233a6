"""A trained model as a module that takes images as they are: N x C x H x W, pixels in [0, 1]."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from aesweep.training.checkpoints.model_file import CheckpointMetadata, read_checkpoint
from aesweep.training.engine.member import architecture_of


class ImageAutoencoder(nn.Module):
    """An autoencoder of images [N, C, H, W], float with pixels in [0, 1]. Z is the length of its code.

    Args:
        layers: the model as plain layers, which map images [N, D] to images [N, D].
        metadata: what it was trained with, and on.

    Attributes:
        layers: as above; fine-tuning changes its parameters.
        configuration, dataset, image_shape, seed, epochs: of the metadata.
    """

    def __init__(self, layers: nn.Sequential, metadata: CheckpointMetadata):
        super().__init__()
        self.layers = layers
        self.configuration, self.dataset = metadata.configuration, metadata.dataset
        self.image_shape, self.seed, self.epochs = metadata.image_shape, metadata.seed, metadata.epochs
        self._architecture = architecture_of(metadata.configuration, metadata.image_shape)

    @property
    def latent_dim(self) -> int:
        """Z, the length of the code."""
        return self._architecture.latent_dim

    def forward(self, images: Tensor) -> Tensor:
        """Returns the reconstructions [N, C, H, W] of images [N, C, H, W]; a denoiser's are of noisy images.

        Raises:
            ValueError: the images have another shape, or are not floats.
        """
        return self.layers(self._rows(images)).reshape(-1, *self.image_shape)

    def encode(self, images: Tensor) -> Tensor:
        """Returns the codes [N, Z] of images [N, C, H, W], of a variational model their means, without gradients.

        Raises:
            ValueError: as `forward`.
        """
        with torch.no_grad():
            return self._architecture.encode(self._parameters_now(), self._rows(images))

    def decode(self, codes: Tensor) -> Tensor:
        """Returns the images [N, C, H, W] of codes [N, Z], without gradients.

        Raises:
            ValueError: the codes have another shape.
        """
        if codes.ndim != 2 or codes.shape[1] != self.latent_dim:
            raise ValueError(f"expected codes [N, {self.latent_dim}], got {list(codes.shape)}")
        with torch.no_grad():
            return self._architecture.decode(self._parameters_now(), codes).reshape(-1, *self.image_shape)

    def extra_repr(self) -> str:
        height_and_width = " x ".join(map(str, self.image_shape))
        return f"{self._architecture}, images {height_and_width}, code {self.latent_dim}, trained on {self.dataset!r}"

    def _parameters_now(self) -> Tensor:
        return self._architecture.as_parameters(self.layers)

    def _rows(self, images: Tensor) -> Tensor:
        expected = f"expected images [N, {', '.join(map(str, self.image_shape))}]"
        if tuple(images.shape[1:]) != tuple(self.image_shape):
            raise ValueError(f"{expected}, got {list(images.shape)}: reshape them")
        if not images.is_floating_point():
            raise ValueError(f"{expected} of floats in [0, 1], got {images.dtype}: divide bytes by 255")
        return images.reshape(-1, math.prod(self.image_shape))


def read_image_autoencoder(path: Path, sha256: str) -> ImageAutoencoder:
    """Returns the model of a checkpoint, in evaluation mode; raises CheckpointError as `read_checkpoint` does."""
    layers, metadata = read_checkpoint(path, sha256)
    return ImageAutoencoder(layers, metadata).eval()

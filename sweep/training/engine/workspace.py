"""What a step of a stack computes in: buffers that every step overwrites, and the passes through a family's models.

Letters: K models in lock-step, B batch, D pixels, W width of a layer. A stack of one has no K in its shapes, because
plain matrix products are faster than batched ones; all code works on either form.
"""

from __future__ import annotations

import abc
import functools
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from aesweep.models.family import Architecture

Shape = TypeVar("Shape", bound=Architecture)
Views = TypeVar("Views")


class Workspace(abc.ABC, Generic[Shape, Views]):
    """Buffers for K models and batches of B images, and the forward and backward pass through them.

    Attributes:
        clean: the batch's images, [K, B, D].
        noisy: the batch's images with noise, [K, B, D]; allocated at the first access.
        draws: standard normal numbers for variational codes, [K, B, Z]; allocated at the first access.
    """

    def __init__(self, architecture: Shape, num_models: int, batch: int, dtype: torch.dtype, device: str):
        self.architecture = architecture
        self.num_models = num_models
        self.batch = batch
        self._options: dict[str, Any] = {"dtype": dtype, "device": device}
        self.pixels = torch.empty(num_models * batch, architecture.num_pixels, dtype=torch.uint8, device=device)
        self.clean = self._empty(architecture.num_pixels)

    def _empty(self, *shape: int) -> Tensor:
        prefix = () if self.num_models == 1 else (self.num_models,)
        return torch.empty(*prefix, self.batch, *shape, **self._options)

    @functools.cached_property
    def noisy(self) -> Tensor:
        return torch.empty_like(self.clean)

    @functools.cached_property
    def draws(self) -> Tensor:
        return self._empty(self.architecture.latent_dim)

    def of_each(self, tensor: Tensor) -> list[Tensor]:
        """Returns a buffer split by model: K views [B, ...]."""
        return [tensor] if self.num_models == 1 else list(tensor)

    def gather(self, images: Tensor, indices: Tensor) -> None:
        """Fills `clean` with images scaled to [0, 1].

        Args:
            images: all training images, uint8 [N, D].
            indices: images of each model's batch, int64 [K * B].
        """
        torch.index_select(images, 0, indices, out=self.pixels)
        # In two operations, because a single torch.div from uint8 would convert in a new buffer, ten times slower.
        self.clean.copy_(self.pixels.view(self.clean.shape)).div_(255)

    def differ(self, squared_errors: Tensor) -> None:
        """Writes outputs minus clean images where `backward` starts, and each model's sum of their squares.

        Args:
            squared_errors: each model's sum of squared differences, [K], overwritten.
        """
        torch.sub(self.outputs, self.clean, out=self.output_errors)
        flat = self.output_errors.view(self.num_models, -1)
        torch.linalg.vector_norm(flat, dim=1, out=squared_errors)
        squared_errors.square_()

    @staticmethod
    @abc.abstractmethod
    def views(architecture: Shape, flat: Tensor) -> Views:
        """Returns parameters or gradients in the form that the passes need, as views of [P] or [K, P]."""

    @staticmethod
    @abc.abstractmethod
    def floats_per_image(architecture: Shape) -> int:
        """Returns how many floating-point numbers the buffers hold for each image of a batch and each model."""

    @property
    @abc.abstractmethod
    def masks(self) -> dict[int, Tensor]:
        """Per hidden layer, 0 for a dropped unit, 1 / (1 - rate) for a kept one, [K, B, W]; made when asked for."""

    @property
    @abc.abstractmethod
    def code(self) -> Tensor:
        """The codes that `forward` computed, [K, B, Z]."""

    @property
    @abc.abstractmethod
    def outputs(self) -> Tensor:
        """The outputs that `forward` computed, [K, B, D]."""

    @property
    @abc.abstractmethod
    def output_errors(self) -> Tensor:
        """Outputs minus clean images, [K, B, D], which `differ` writes and `backward` overwrites."""

    @abc.abstractmethod
    def forward(self, views: Views, inputs: Tensor, dropout: bool) -> Tensor:
        """Computes the models' outputs.

        Args:
            views: the models' parameters.
            inputs: images, [K, B, D].
            dropout: whether units are dropped, according to the present `masks`.

        Returns:
            The outputs [K, B, D], in a buffer of the workspace.
        """

    @abc.abstractmethod
    def backward(
        self,
        views: Views,
        gradients: Views,
        inputs: Tensor,
        dropout: bool,
        sparse_code: list[float] | Tensor | None,
        beta: list[float] | Tensor | None = None,
    ) -> None:
        """Writes the gradient of each model's objective, but for its penalties on weights, into `gradients`.

        Args:
            views: the parameters that `forward` used.
            gradients: the gradients, of the same shapes; overwritten.
            inputs: the inputs of `forward`.
            dropout: whether `forward` dropped units.
            sparse_code: per model, the weight of the code's absolute sum, mean over the batch; a tensor [K] to process
                all models in one operation, None where all weights are zero.
            beta: per model, the weight of a variational code's divergence, see `aesweep.models.terms`; None where the
                code is plain.
        """

    def other_terms(self, beta: list[float] | Tensor | None) -> Tensor | None:
        """Returns what each model's objective has beside the squared error and the penalties, [K]; None for nothing.

        Args:
            beta: see `backward`.
        """
        return None

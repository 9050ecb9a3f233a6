"""The forward and backward pass of any differentiable family, by autograd; a stack goes through it as one, by `vmap`.

Letters: K models in lock-step, B batch, D pixels, Z latent dimension. A stack of one has no K in its shapes.
"""

from __future__ import annotations

import contextlib
import functools
import math

import torch
from torch import Tensor

from aesweep.models.family import Differentiable
from aesweep.models.terms import Terms, cross_entropy
from aesweep.training.engine.workspace import Workspace


class AutogradWorkspace(Workspace[Differentiable, dict[str, Tensor]]):
    """Buffers for the images and errors of K models and batches of B images; autograd holds what is between them."""

    def __init__(
        self,
        architecture: Differentiable,
        num_models: int,
        batch: int,
        dtype: torch.dtype,
        device: str,
        bfloat16_products: bool = False,
    ):
        super().__init__(architecture, num_models, batch, dtype, device)
        self._device_type = torch.device(device).type
        self._has_bfloat16 = bfloat16_products
        self._errors = torch.empty_like(self.clean)
        self._leaves: dict[str, Tensor] = {}
        self._terms = Terms(self.clean, self.clean, self._empty(architecture.latent_dim), self._empty())

    @staticmethod
    def views(architecture: Differentiable, flat: Tensor) -> dict[str, Tensor]:
        return architecture.layout.views(flat)

    @staticmethod
    def floats_per_image(architecture: Differentiable) -> int:
        hidden = sum(math.prod(shape) for shape in architecture.hidden_shapes.values())
        # Clean and noisy images, errors and outputs; each hidden layer's values before and after its activation, its
        # mask, what the mask leaves, and the gradients of the last two, which autograd holds at a time; the code twice.
        return 4 * architecture.num_pixels + 6 * hidden + 2 * architecture.latent_dim

    @functools.cached_property
    def masks(self) -> dict[int, Tensor]:
        return {index: self._empty(*shape) for index, shape in self.architecture.hidden_shapes.items()}

    @property
    def code(self) -> Tensor:
        return self._terms.code.detach()

    @property
    def outputs(self) -> Tensor:
        return self._terms.outputs.detach()

    @property
    def output_errors(self) -> Tensor:
        return self._errors

    def forward(self, views: dict[str, Tensor], inputs: Tensor, dropout: bool) -> Tensor:
        self._leaves = {name: view.detach().requires_grad_() for name, view in views.items()}
        masks, draws = self.masks if dropout else None, self.draws if self.architecture.is_variational else None
        function = self.architecture.forward
        if self.num_models > 1:
            given = (0, 0, None if masks is None else 0, None if draws is None else 0)
            function = torch.func.vmap(function, in_dims=given)
        rounded = contextlib.nullcontext()
        if self._has_bfloat16:
            # Each weight is rounded once, so that a cache of rounded weights would only hold memory.
            rounded = torch.autocast(self._device_type, torch.bfloat16, cache_enabled=False)
        with torch.enable_grad(), rounded:
            terms = function(self._leaves, inputs, masks, draws)
            self._terms = Terms(*(term.to(inputs.dtype) for term in terms))
        return self.outputs

    def backward(
        self,
        views: dict[str, Tensor],
        gradients: dict[str, Tensor],
        inputs: Tensor,
        dropout: bool,
        sparse_code: list[float] | Tensor | None,
        beta: list[float] | Tensor | None = None,
    ) -> None:
        terms, num_pixels = self._terms, self.architecture.num_pixels
        # The derivatives of (output - target)^2, and of the cross entropy with respect to what the sigmoid is given.
        factor = 1 if self.architecture.likelihood == "bernoulli" else 2
        self._errors.mul_(factor / (self.batch * num_pixels))
        ends, errors = [terms.natural], [self._errors]
        if sparse_code is not None and (isinstance(sparse_code, Tensor) or any(sparse_code)):
            ends.append(terms.code)
            errors.append(self.code.sign() * (self._each(sparse_code, 2) / self.batch))
        if self.architecture.is_variational:
            ends.append(terms.divergence)
            errors.append((self._each(beta, 1) / (self.batch * num_pixels)).expand(terms.divergence.shape))
        found = torch.autograd.grad(ends, list(self._leaves.values()), errors)
        for name, gradient in zip(self._leaves, found, strict=True):
            gradients[name].copy_(gradient)
        # What is kept for the penalties must not keep the graph with it.
        self._terms = Terms(*(term.detach() for term in terms))
        self._leaves = {}

    def other_terms(self, beta: list[float] | Tensor | None) -> Tensor | None:
        terms, total = self._terms, torch.zeros(self.num_models, dtype=self.clean.dtype, device=self.clean.device)
        if self.architecture.is_variational:
            divergence = terms.divergence.detach().reshape(self.num_models, -1).mean(-1)
            total += self._each(beta, 0).view(-1) * divergence / self.architecture.num_pixels
        if self.architecture.likelihood == "bernoulli":
            entropy = cross_entropy(terms.natural.detach(), self.clean).reshape(self.num_models, -1).mean(-1)
            squared = (self.outputs - self.clean).square().reshape(self.num_models, -1).mean(-1)
            total += entropy - squared
        return total

    def _each(self, values: list[float] | Tensor | None, num_more: int) -> Tensor:
        """Returns a number for each model as a tensor that broadcasts with [K, ...] of `num_more` more dimensions."""
        tensor = torch.as_tensor(values, dtype=self.clean.dtype, device=self.clean.device)
        return tensor.view(-1, *[1] * num_more) if self.num_models > 1 else tensor.view(())

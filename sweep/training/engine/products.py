"""The matrix products of a training step, of float32 matrices or of matrices rounded to bfloat16.

Everything else of a step - parameters, biases, activations, gradients, Adam - is implemented in `Workspace` and in the
optimizer, and is the same for both. Letters: K models, B batch, I and O the widths before and after a layer; with one
model no shape has a K.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aesweep.models.dense import Dense, Layer


class PlainProducts:
    """Products in the factors' own type, with the precision of `torch.get_float32_matmul_precision`."""

    def __init__(self, num_models: int):
        self._lone = num_models == 1

    def forward(self, index: int, vectors: Tensor, layer: Layer, out: Tensor) -> None:
        """Writes vectors @ weight + bias.

        Args:
            index: index of the layer.
            vectors: the layer's inputs, [K, B, I].
            layer: the layer's parameters.
            out: the layer's outputs, [K, B, O], overwritten.
        """
        if self._lone:
            torch.addmm(layer.bias, vectors, layer.weight, out=out)
        else:
            torch.baddbmm(layer.bias.unsqueeze(1), vectors, layer.weight, out=out)

    def backward(
        self, index: int, vectors: Tensor, layer: Layer, error: Tensor, gradient: Tensor, vectors_error: Tensor | None
    ) -> None:
        """Writes the gradients with respect to a layer's weight and to its inputs.

        Args:
            index: index of the layer.
            vectors: the inputs of the last `forward` for this layer, [K, B, I].
            layer: the layer's parameters, unchanged since that `forward`.
            error: gradient with respect to the outputs of `forward`, [K, B, O].
            gradient: gradient with respect to the weight, [K, I, O], overwritten.
            vectors_error: gradient with respect to `vectors`, [K, B, I], overwritten; None for the first layer, where
                it is not needed.
        """
        product = torch.mm if self._lone else torch.bmm
        product(vectors.mT, error, out=gradient)
        if vectors_error is not None:
            product(error, layer.weight.mT, out=vectors_error)


class Bfloat16Products:
    """Products of float32 matrices into float32, with every factor, and every finished product, rounded to bfloat16.

    A product accumulates in float32; the bias is added in float32. (On a CPU PyTorch has no product of bfloat16 factors
    that returns its float32 sum; on a GPU it has, and finished products are rounded all the same, so that both give the
    same.) A factor is rounded once a step: `forward` rounds vectors and weights and keeps them
    for `backward`, which must therefore follow it.
    """

    def __init__(self, architecture: Dense, num_models: int, batch: int, device: str):
        options = {"dtype": torch.bfloat16, "device": device}
        prefix = () if num_models == 1 else (num_models,)
        before, after = architecture.widths[:-1], architecture.widths[1:]
        shapes = list(zip(before, after, strict=True))
        self._vectors = [torch.empty(*prefix, batch, width, **options) for width in before]
        self._weights = [torch.empty(*prefix, *shape, **options) for shape in shapes]
        # Errors and products are consumed at once: all layers share two buffers, which are small enough for the cache.
        errors = torch.empty(num_models * batch * max(after), **options)
        largest = max(
            max(batch * width for width in architecture.widths), *(rows * columns for rows, columns in shapes)
        )
        products = torch.empty(num_models * largest, **options)
        self._errors = [_front(errors, *prefix, batch, width) for width in after]
        self._outputs = [_front(products, *prefix, batch, width) for width in after]
        self._gradients = [_front(products, *prefix, *shape) for shape in shapes]
        self._vectors_errors = [_front(products, *prefix, batch, width) for width in before]
        self._product = torch.mm if num_models == 1 else torch.bmm

    @staticmethod
    def num_bytes(architecture: Dense, batch: int) -> int:
        """Returns what the buffers take for one model."""
        before, after = architecture.widths[:-1], architecture.widths[1:]
        weights = [rows * columns for rows, columns in zip(before, after, strict=True)]
        largest = max(batch * max(architecture.widths), *weights)
        return torch.bfloat16.itemsize * (batch * sum(before) + sum(weights) + batch * max(after) + largest)

    def forward(self, index: int, vectors: Tensor, layer: Layer, out: Tensor) -> None:
        """Writes vectors @ weight + bias; see `PlainProducts.forward`."""
        rounded, weight, product = self._vectors[index], self._weights[index], self._outputs[index]
        # Weights are rounded layer by layer and not all at once, so that a weight is in the cache for its product.
        self._product(rounded.copy_(vectors), weight.copy_(layer.weight), out=product)
        out.copy_(product).add_(layer.bias.unsqueeze(-2))

    def backward(
        self, index: int, vectors: Tensor, layer: Layer, error: Tensor, gradient: Tensor, vectors_error: Tensor | None
    ) -> None:
        """Writes the gradients with respect to weight and inputs; see `PlainProducts.backward`."""
        rounded = self._errors[index].copy_(error)
        gradient.copy_(self._product(self._vectors[index].mT, rounded, out=self._gradients[index]))
        if vectors_error is not None:
            product = self._vectors_errors[index]
            vectors_error.copy_(self._product(rounded, self._weights[index].mT, out=product))


def _front(memory: Tensor, *shape: int) -> Tensor:
    """Returns the front of a flat buffer as a view of the given shape."""
    return memory[: torch.Size(shape).numel()].view(shape)

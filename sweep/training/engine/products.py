"""The matrix products of a training step: of the matrices as they are, or of their bfloat16 roundings.

Everything else of a step - parameters, biases, activations, gradients, Adam - is `Workspace`'s and the optimizer's, and
the same for both. Letters: K models, B batch, I and O the widths before and after a layer; with one model no shape has
a K.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aesweep.models.autoencoder import Architecture, Layer


class PlainProducts:
    """Products of the factors' own type, as exact as `torch.get_float32_matmul_precision` says."""

    def __init__(self, num_models: int):
        self._lone = num_models == 1

    def forward(self, index: int, vectors: Tensor, layer: Layer, out: Tensor) -> None:
        """Writes vectors @ weight + bias.

        Args:
            index: of the layer.
            vectors: [K, B, I].
            layer: its parameters.
            out: [K, B, O], overwritten.
        """
        if self._lone:
            torch.addmm(layer.bias, vectors, layer.weight, out=out)
        else:
            torch.baddbmm(layer.bias.unsqueeze(1), vectors, layer.weight, out=out)

    def backward(
        self, index: int, vectors: Tensor, layer: Layer, error: Tensor, gradient: Tensor, vectors_error: Tensor | None
    ) -> None:
        """Writes the gradients by a layer's weight and by what it was given.

        Args:
            index: of the layer.
            vectors: [K, B, I], what `forward` was last given for this layer.
            layer: its parameters, unchanged since.
            error: the gradient by what `forward` wrote, [K, B, O].
            gradient: by the weight, [K, I, O], overwritten.
            vectors_error: by `vectors`, [K, B, I], overwritten; None where nobody asks, before the first layer.
        """
        product = torch.mm if self._lone else torch.bmm
        product(vectors.mT, error, out=gradient)
        if vectors_error is not None:
            product(error, layer.weight.mT, out=vectors_error)


class Bfloat16Products:
    """The same from float32 to float32, with every factor, and every product as a whole, rounded to bfloat16.

    Sums run over float32 inside a product; the bias is added in float32. (PyTorch has no product of bfloat16 factors
    that keeps its float32 sum on a CPU.) A factor is rounded once a step: vectors and weights by `forward`, and kept
    for `backward`, which therefore has to follow it.
    """

    def __init__(self, architecture: Architecture, num_models: int, batch: int, device: str):
        options = {"dtype": torch.bfloat16, "device": device}
        prefix = () if num_models == 1 else (num_models,)
        before, after = architecture.widths[:-1], architecture.widths[1:]
        shapes = list(zip(before, after, strict=True))
        self._vectors = [torch.empty(*prefix, batch, width, **options) for width in before]
        self._weights = [torch.empty(*prefix, *shape, **options) for shape in shapes]
        # Errors and products are used up at once: all layers share two pieces of memory, small enough for the cache.
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

    def forward(self, index: int, vectors: Tensor, layer: Layer, out: Tensor) -> None:
        """As `PlainProducts.forward`."""
        rounded, weight, product = self._vectors[index], self._weights[index], self._outputs[index]
        # Layer by layer, and not all weights in one piece: a weight is in the cache when its product asks for it.
        self._product(rounded.copy_(vectors), weight.copy_(layer.weight), out=product)
        out.copy_(product).add_(layer.bias.unsqueeze(-2))

    def backward(
        self, index: int, vectors: Tensor, layer: Layer, error: Tensor, gradient: Tensor, vectors_error: Tensor | None
    ) -> None:
        """As `PlainProducts.backward`."""
        rounded = self._errors[index].copy_(error)
        gradient.copy_(self._product(self._vectors[index].mT, rounded, out=self._gradients[index]))
        if vectors_error is not None:
            product = self._vectors_errors[index]
            vectors_error.copy_(self._product(rounded, self._weights[index].mT, out=product))


def _front(memory: Tensor, *shape: int) -> Tensor:
    """The front of flat memory, in a shape."""
    return memory[: torch.Size(shape).numel()].view(shape)

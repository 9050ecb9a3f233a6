"""The layers of a `Network`: linear layers, convolutions of stride 2, and transposed ones, each with what follows it.

Letters: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from aesweep.models.activations import FUNCTIONS, activation_gain, module_of
from aesweep.models.initialization import fill_uniformly
from aesweep.models.layout import Parameter

STRIDE = 2


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer with parameters, the normalization of its result, and the activation after it.

    A kernel lies in memory with its channels last, [out, size, size, in], or [in, size, size, out] if it is transposed.
    The weight of a linear layer is [out, in].

    Attributes:
        kind: "linear", "convolution" or "transposed" (a transposed convolution).
        given, gives: shape of its input and of its output for one image, (C, H, W) or (width,).
        activation: what follows: an activation, the output's name, or "linear" for nothing.
        is_hidden: whether the result is neither code nor output; dropout applies to hidden ones.
        is_normalized: whether the result is normalized over channels and pixels, image by image, before the activation.
        kernel_size: width and height of the kernel, in pixels.
        output_padding: of a transposed convolution, rows and columns that its output needs to mirror the encoder's map.
    """

    kind: Literal["linear", "convolution", "transposed"]
    given: tuple[int, ...]
    gives: tuple[int, ...]
    activation: str
    is_hidden: bool = True
    is_normalized: bool = False
    kernel_size: int = 1
    output_padding: tuple[int, ...] = (0, 0)

    @property
    def inputs(self) -> int:
        return self.given[0]

    @property
    def outputs(self) -> int:
        return self.gives[0]

    @property
    def padding(self) -> int:
        return padding(self.kernel_size)

    def parameters(self) -> list[Parameter]:
        """Returns the layer's parameters, in the order of those of its `modules`."""
        size = self.kernel_size
        shape = {
            "convolution": (self.outputs, size, size, self.inputs),
            "transposed": (self.inputs, size, size, self.outputs),
            "linear": (self.outputs, self.inputs),
        }[self.kind]
        names = ("bias", "factor", "offset") if self.is_normalized else ("bias",)
        others = [Parameter(name, (self.outputs,), is_weight=False) for name in names]
        return [Parameter("weight", shape, is_weight=True), *others]

    def initialize(
        self, own: Mapping[str, Tensor], before: str, initialization: str, generator: torch.Generator
    ) -> None:
        """Draws the layer's parameters.

        "uniform" draws as PyTorch's layers do. "orthogonal" takes the weight, in PyTorch's order and as a matrix of its
        first dimension by the others, from an orthogonal matrix, scaled so that a signal of independent values keeps
        its variance through the activation before the layer and the layer itself; the bias stays zero.

        Args:
            own: the layer's parameters by name, zero; overwritten.
            before: name of the activation before the layer.
            initialization: "uniform" or "orthogonal".
            generator: source of the draws, on the CPU.
        """
        weight = in_order(own["weight"])
        if self.is_normalized:
            own["factor"].fill_(1)
        if initialization == "uniform":
            # PyTorch counts a layer's inputs along the second dimension of its weight, whatever its kind.
            fill_uniformly(weight, own["bias"], weight[0].numel(), generator)
            return
        matrix = torch.empty(len(weight), weight[0].numel())
        torch.nn.init.orthogonal_(matrix, generator=generator)
        # How many products add up to one value; of a transposed kernel, one in four reaches the same pixel.
        terms = self.inputs * self.kernel_size**2 / (STRIDE**2 if self.kind == "transposed" else 1)
        # The elements of an orthogonal matrix have the variance 1 / (its longer side).
        scale = activation_gain(before) * math.sqrt(max(matrix.shape) / terms)
        weight.copy_(matrix.view(weight.shape) * scale)

    def apply(self, own: Mapping[str, Tensor], values: Tensor) -> tuple[Tensor, Tensor]:
        """Applies the layer.

        Args:
            own: the layer's parameters by name.
            values: its inputs, of N images, in any shape.

        Returns:
            Its results before and after the activation, [N, ...].
        """
        values = values.reshape(len(values), *self.given)
        weight, bias = in_order(own["weight"]), own["bias"]
        if self.kind == "linear":
            values = functional.linear(values, weight, bias)
        elif self.kind == "convolution":
            values = functional.conv2d(values, weight, bias, STRIDE, self.padding)
        else:
            values = functional.conv_transpose2d(values, weight, bias, STRIDE, self.padding, self.output_padding)
        if self.is_normalized:
            values = functional.group_norm(values, 1, own["factor"], own["offset"])
        function = FUNCTIONS[self.activation]
        return values, values if function is None else function(values)

    def modules(self) -> list[nn.Module]:
        """Returns the layer, its normalization and its activation as modules of PyTorch."""
        sizes = (self.inputs, self.outputs)
        if self.kind == "linear":
            found: list[nn.Module] = [nn.Linear(*sizes)]
        elif self.kind == "convolution":
            found = [nn.Conv2d(*sizes, self.kernel_size, STRIDE, self.padding)]
        else:
            options = (self.kernel_size, STRIDE, self.padding, self.output_padding)
            found = [nn.ConvTranspose2d(*sizes, *options)]
        if self.is_normalized:
            found.append(nn.GroupNorm(1, self.outputs))
        return [*found, *module_of(self.activation)]


def padding(kernel_size: int) -> int:
    """Returns the pixels of zeros on each side with which a kernel halves a map's sides, rounded up or down."""
    return (kernel_size - 1) // 2


def in_order(view: Tensor) -> Tensor:
    """Returns a parameter in the order of PyTorch's layers: kernels lie in memory with their channels last."""
    return view.permute(0, 3, 1, 2) if view.ndim == 4 else view

"""Autoencoders of linear layers: their shape, their parameters, and their forward pass.

This module does not train; `Dense.as_module` returns the same model as a plain `torch.nn.Sequential`. Letters: K models
in a stack, N images, D pixels of an image, Z latent dimension, P length of a flat parameter vector.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aesweep.models.activations import FUNCTIONS, activation_gain, check_activation, module_of
from aesweep.models.initialization import check_initialization, fill_uniformly, output_bias
from aesweep.models.layout import Layout, Parameter
from aesweep.models.module_exchange import filled, flattened


class Layer(NamedTuple):
    """The parameters of one layer as views: weight [..., in, out], bias [..., out]; y = x @ weight + bias."""

    weight: Tensor
    bias: Tensor


@dataclasses.dataclass(frozen=True)
class Dense:
    """The shape of a model of linear layers; see `aesweep.models.family.Architecture`.

    Attributes:
        num_pixels: D, the length of an image.
        hidden_layers: widths of the encoder's hidden layers, from the image to the code; the decoder mirrors them.
        latent_dim: Z, the length of the code.
        activation: "gelu", "relu", "silu" or "tanh", after every hidden layer; none follows the code.
        output: "sigmoid" or "linear", after the last layer.
    """

    num_pixels: int
    hidden_layers: tuple[int, ...]
    latent_dim: int
    activation: str = "gelu"
    output: str = "sigmoid"

    def __post_init__(self) -> None:
        check_activation(self.activation, self.output)
        if not all(isinstance(width, int) and width > 0 for width in self.widths):
            raise ValueError(f"widths: expected integers above 0, from the image to the code; got {self.widths}")

    def __str__(self) -> str:
        return "-".join(map(str, self.widths[: self.code_layer + 2]))

    @property
    def widths(self) -> tuple[int, ...]:
        """The length of every vector between two layers, from the image over the code back to the image."""
        down = (self.num_pixels, *self.hidden_layers)
        return (*down, self.latent_dim, *reversed(down))

    @property
    def num_layers(self) -> int:
        return len(self.widths) - 1

    @property
    def code_layer(self) -> int:
        """The index of the layer whose output is the code."""
        return len(self.hidden_layers)

    def activation_after(self, layer: int) -> str:
        """Returns what follows a layer: the activation, "linear" after the code, the output after the last layer."""
        if layer == self.code_layer:
            return "linear"
        return self.output if layer == self.num_layers - 1 else self.activation

    @property
    def largest_layer(self) -> int:
        """The most values that a layer gives for an image, or is given."""
        return max(self.widths)

    @functools.cached_property
    def layout(self) -> Layout:
        """Where each parameter lies in a flat vector."""
        shapes = list(enumerate(itertools.pairwise(self.widths)))
        return Layout(
            [Parameter(f"{index}.weight", shape, is_weight=True) for index, shape in shapes]
            + [Parameter(f"{index}.bias", shape[1:], is_weight=False) for index, shape in shapes]
        )

    def layers(self, parameters: Tensor) -> list[Layer]:
        """Returns the layers as views into a flat vector [P], or into a stack of them [K, P]."""
        views = self.layout.views(parameters)
        return [Layer(views[f"{index}.weight"], views[f"{index}.bias"]) for index in range(self.num_layers)]

    def initial_parameters(
        self, generator: torch.Generator, initialization: str = "uniform", mean_image: Tensor | None = None
    ) -> Tensor:
        """Draws a model's parameters.

        "uniform" draws as `nn.Linear` does: weights and biases uniform within 1 / sqrt(inputs).

        "orthogonal" draws weights as random orthogonal matrices (Saxe, McClelland and Ganguli 2014), scaled so that a
        signal of unit variance keeps it: by the gain of the activation before the layer (as He et al. 2015 derive it
        for ReLU), and by sqrt(outputs / inputs) where the layer widens. Biases are zero except those of the last layer,
        which make the first output the mean image.

        Args:
            generator: source of the draws, on the CPU.
            initialization: "uniform" or "orthogonal".
            mean_image: mean of the training images, float [D], pixels in [0, 1]; "orthogonal" needs it.

        Returns:
            Flat vector [P], float32, CPU.
        """
        check_initialization(initialization, mean_image)
        flat = torch.zeros(self.layout.num_elements)
        layers = self.layers(flat)
        if initialization == "uniform":
            for layer in layers:
                fill_uniformly(layer.weight, layer.bias, layer.weight.shape[0], generator)
            return flat
        for index, layer in enumerate(layers):
            rows, columns = layer.weight.shape
            before = "linear" if index == 0 else self.activation_after(index - 1)
            scale = activation_gain(before) * math.sqrt(max(1.0, columns / rows))
            torch.nn.init.orthogonal_(layer.weight, gain=scale, generator=generator)
        layers[-1].bias.copy_(output_bias(mean_image, self.output))
        return flat

    def encode(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Encodes images [N, D] to codes [N, Z], without dropout.

        With the parameters of a stack, it encodes images [N, D] or [K, N, D] to codes [K, N, Z].
        """
        return self._forward(parameters, inputs, range(self.code_layer + 1))

    def reconstruct(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Reconstructs images [N, D] through the code, without dropout; stacks as in `encode`."""
        return self._forward(parameters, inputs, range(self.num_layers))

    def decode(self, parameters: Tensor, codes: Tensor) -> Tensor:
        """Decodes codes [N, Z] to images [N, D]; stacks as in `encode`."""
        return self._forward(parameters, codes, range(self.code_layer + 1, self.num_layers))

    def _forward(self, parameters: Tensor, inputs: Tensor, which: range) -> Tensor:
        vectors, is_stack = inputs, parameters.ndim == 2
        if is_stack:
            vectors = inputs.expand(len(parameters), -1, -1)
        layers = self.layers(parameters)
        for index in which:
            weight, bias = layers[index]
            vectors = (
                torch.baddbmm(bias.unsqueeze(1), vectors, weight) if is_stack else torch.addmm(bias, vectors, weight)
            )
            function = FUNCTIONS[self.activation_after(index)]
            vectors = vectors if function is None else function(vectors)
        return vectors

    def as_module(self, parameters: Tensor | None = None) -> nn.Sequential:
        """Returns the model as a plain Sequential of Linear, activation, ..., Linear and perhaps Sigmoid.

        Args:
            parameters: the model's parameters [P], which are copied; None keeps PyTorch's own initial ones.
        """
        modules: list[nn.Module] = []
        for index, (rows, columns) in enumerate(itertools.pairwise(self.widths)):
            modules += [nn.Linear(rows, columns), *module_of(self.activation_after(index))]
        return filled(nn.Sequential(*modules), parameters, self._pairs)

    def as_parameters(self, module: nn.Sequential) -> Tensor:
        """Inverts `as_module`: returns a flat vector [P] of the module's dtype, on its device."""
        return flattened(module, self.layout.num_elements, self._pairs)

    def _pairs(self, module: nn.Sequential, parameters: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        linears = [part for part in module if isinstance(part, nn.Linear)]
        for linear, layer in zip(linears, self.layers(parameters), strict=True):
            yield linear.weight, layer.weight.T
            yield linear.bias, layer.bias

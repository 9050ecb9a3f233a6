"""Autoencoders of linear layers: their shape, where their parameters lie in one flat vector, and their forward pass.

This module does not train; `as_module` returns the same model as a plain `torch.nn.Sequential`. Letters: K models in a
stack, N images, D pixels of an image, Z latent dimension, P length of a flat parameter vector.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

# In elements: every matrix and bias starts on a cache line, so that matrix products are faster, and give the same bits
# wherever the vector itself lies.
ALIGNMENT = 16

MODULES: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh}
FUNCTIONS = {
    "gelu": torch.nn.functional.gelu,
    "relu": torch.relu,
    "silu": torch.nn.functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "linear": None,
}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The shape of a model.

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
        if self.activation not in MODULES:
            raise ValueError(f"activation: expected one of {', '.join(MODULES)}; got {self.activation!r}")
        if self.output not in ("sigmoid", "linear"):
            raise ValueError(f"output: expected sigmoid or linear; got {self.output!r}")
        if not all(isinstance(width, int) and width > 0 for width in self.widths):
            raise ValueError(f"widths: expected integers above 0, from the image to the code; got {self.widths}")

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


class Layer(NamedTuple):
    """The parameters of one layer as views: weight [..., in, out], bias [..., out]; y = x @ weight + bias."""

    weight: Tensor
    bias: Tensor


class Layout:
    """Where each parameter lies in a flat vector: all weights, then all biases, each on a cache line.

    With the weights in one piece, penalties and decay that spare the biases are single operations on a slice. The gaps
    between parameters are zero and stay zero: nothing ever writes them, and Adam does not move a parameter without a
    gradient.

    Attributes:
        num_elements: P, gaps included.
        num_weights: length of the part that holds the weights.
        num_parameters: number of parameters that a model learns, gaps excluded.
    """

    def __init__(self, architecture: Architecture):
        self.shapes = list(itertools.pairwise(architecture.widths))
        self.num_parameters = sum(rows * columns + columns for rows, columns in self.shapes)
        sizes = [rows * columns for rows, columns in self.shapes] + [columns for _, columns in self.shapes]
        ends = list(itertools.accumulate(math.ceil(size / ALIGNMENT) * ALIGNMENT for size in sizes))
        self._starts = [0, *ends[:-1]]
        self.num_weights = ends[len(self.shapes) - 1]
        self.num_elements = ends[-1]

    def views(self, flat: Tensor) -> list[Layer]:
        """Returns the layers as views into a flat vector [P], or into a stack of them [K, P]."""
        prefix = flat.shape[:-1]
        layers = []
        for index, (rows, columns) in enumerate(self.shapes):
            weight = flat.narrow(-1, self._starts[index], rows * columns).view(*prefix, rows, columns)
            bias = flat.narrow(-1, self._starts[index + len(self.shapes)], columns)
            layers.append(Layer(weight, bias))
        return layers


def encode(architecture: Architecture, layers: list[Layer], inputs: Tensor) -> Tensor:
    """Encodes images [N, D] to codes [N, Z], without dropout.

    With the layers of a stack, it encodes images [N, D] or [K, N, D] to codes [K, N, Z].
    """
    return _forward(architecture, layers, inputs, range(architecture.code_layer + 1))


def reconstruct(architecture: Architecture, layers: list[Layer], inputs: Tensor) -> Tensor:
    """Reconstructs images [N, D] through the code, without dropout; stacks as in `encode`."""
    return _forward(architecture, layers, inputs, range(architecture.num_layers))


def _forward(architecture: Architecture, layers: list[Layer], inputs: Tensor, which: range) -> Tensor:
    vectors, is_stack = inputs, layers[0].weight.ndim == 3
    if is_stack:
        vectors = inputs.expand(len(layers[0].weight), -1, -1)
    for index in which:
        weight, bias = layers[index]
        vectors = torch.baddbmm(bias.unsqueeze(1), vectors, weight) if is_stack else torch.addmm(bias, vectors, weight)
        function = FUNCTIONS[architecture.activation_after(index)]
        vectors = vectors if function is None else function(vectors)
    return vectors


def as_module(architecture: Architecture, flat: Tensor | None = None) -> nn.Sequential:
    """Returns the model as a plain Sequential of Linear, activation, ..., Linear and perhaps Sigmoid.

    Args:
        architecture: the model's shape.
        flat: the model's parameters [P], which are copied; None keeps PyTorch's own initial ones.
    """
    modules: list[nn.Module] = []
    for index, (rows, columns) in enumerate(itertools.pairwise(architecture.widths)):
        modules.append(nn.Linear(rows, columns))
        name = architecture.activation_after(index)
        if name != "linear":
            modules.append(nn.Sigmoid() if name == "sigmoid" else MODULES[name]())
    module = nn.Sequential(*modules)
    if flat is not None:
        module = module.to(flat)
        linears = [part for part in module if isinstance(part, nn.Linear)]
        with torch.no_grad():
            for linear, layer in zip(linears, Layout(architecture).views(flat), strict=True):
                linear.weight.copy_(layer.weight.T)
                linear.bias.copy_(layer.bias)
    return module


def as_flat(architecture: Architecture, module: nn.Sequential) -> Tensor:
    """Inverts `as_module`: returns a flat vector [P] of the module's dtype, on its device."""
    linears = [part for part in module if isinstance(part, nn.Linear)]
    layout = Layout(architecture)
    flat = linears[0].weight.new_zeros(layout.num_elements).detach()
    with torch.no_grad():
        for linear, layer in zip(linears, layout.views(flat), strict=True):
            layer.weight.copy_(linear.weight.T)
            layer.bias.copy_(linear.bias)
    return flat

"""Draws the initial parameters of a model.

The error that a small autoencoder reaches in a few epochs depends on them more than on anything else that a study
searches; docs/LOG.md has the measurements.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aesweep.models.autoencoder import FUNCTIONS, Architecture, Layout

# The output starts at the mean image; a pixel that is black (or white) in all images would need an infinite bias.
MIN_MEAN = 0.01


def initial_parameters(
    architecture: Architecture,
    generator: torch.Generator,
    initialization: str = "uniform",
    mean_image: Tensor | None = None,
) -> Tensor:
    """Draws a model's parameters.

    "uniform" draws as `nn.Linear` does: weights and biases uniform within 1 / sqrt(inputs).

    "orthogonal" draws weights as random orthogonal matrices (Saxe, McClelland and Ganguli 2014), scaled so that a
    signal of unit variance keeps it: by the gain of the activation before the layer (as He et al. 2015 derive it for
    ReLU), and by sqrt(outputs / inputs) where the layer widens. Biases are zero except those of the last layer, which
    make the first output the mean image.

    Args:
        architecture: the model's shape.
        generator: source of the draws, on the CPU.
        initialization: "uniform" or "orthogonal".
        mean_image: mean of the training images, float [D], pixels in [0, 1]; "orthogonal" needs it.

    Returns:
        Flat vector [P], float32, CPU.
    """
    layout = Layout(architecture)
    flat = torch.zeros(layout.num_elements)
    layers = layout.views(flat)
    if initialization == "uniform":
        for layer in layers:
            bound = 1 / math.sqrt(layer.weight.shape[0])
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
        return flat
    if initialization != "orthogonal" or mean_image is None:
        raise ValueError(f"initialization: expected uniform, or orthogonal with a mean image; got {initialization!r}")
    for index, layer in enumerate(layers):
        rows, columns = layer.weight.shape
        before = "linear" if index == 0 else architecture.activation_after(index - 1)
        scale = activation_gain(before) * math.sqrt(max(1.0, columns / rows))
        torch.nn.init.orthogonal_(layer.weight, gain=scale, generator=generator)
    mean = mean_image.to("cpu", torch.float32)
    layers[-1].bias.copy_(torch.logit(mean, eps=MIN_MEAN) if architecture.output == "sigmoid" else mean)
    return flat


def activation_gain(activation: str) -> float:
    """Returns the factor by which a layer's weights compensate for the activation f before it.

    It is 1 / sqrt(E[f(x)^2]) for standard normal x, which is sqrt(2) for ReLU. The integral is a sum over a fine grid.
    """
    function = FUNCTIONS[activation]
    if function is None:
        return 1.0
    grid = torch.linspace(-8, 8, 16001, dtype=torch.float64)
    density = torch.exp(-(grid**2) / 2)
    return float((density.sum() / (density * function(grid) ** 2).sum()).sqrt())

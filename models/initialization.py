"""Draws the initial parameters of one layer, for every family of models.

The error that a small autoencoder reaches in a few epochs depends on them more than on anything else that a study
searches; docs/LOG.md has the measurements.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# The output starts at the mean image; a pixel that is black (or white) in all images would need an infinite bias.
MIN_MEAN = 0.01


def check_initialization(initialization: str, mean_image: Tensor | None) -> None:
    """Checks the name of an initialization, and that "orthogonal" has the mean image; raises ValueError."""
    if initialization != "uniform" and (initialization != "orthogonal" or mean_image is None):
        raise ValueError(f"initialization: expected uniform, or orthogonal with a mean image; got {initialization!r}")


def fill_uniformly(weight: Tensor, bias: Tensor, fan_in: int, generator: torch.Generator) -> None:
    """Draws weight and bias as `nn.Linear`, `nn.Conv2d` and `nn.ConvTranspose2d` do: uniform within 1 / sqrt(fan_in).

    Args:
        weight: the layer's weight, overwritten.
        bias: the layer's bias, overwritten.
        fan_in: the number of inputs, as PyTorch counts them for the kind of layer.
        generator: source of the draws, on the CPU.
    """
    bound = 1 / math.sqrt(fan_in)
    weight.uniform_(-bound, bound, generator=generator)
    bias.uniform_(-bound, bound, generator=generator)


def output_bias(mean: Tensor, output: str) -> Tensor:
    """Returns the bias with which a last layer without inputs gives a mean (in [0, 1]) after the activation `output`.

    Float32, on the CPU.
    """
    mean = mean.to("cpu", torch.float32)
    return torch.logit(mean, eps=MIN_MEAN) if output == "sigmoid" else mean

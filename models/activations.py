"""The activations of a model by name: as functions, as modules, and the gain that makes up for each of them."""

from __future__ import annotations

import torch
from torch import nn

MODULES: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh}
FUNCTIONS = {
    "gelu": torch.nn.functional.gelu,
    "relu": torch.relu,
    "silu": torch.nn.functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "linear": None,
}


def check_activation(activation: str, output: str) -> None:
    """Checks the names of a model's activation and of its output; raises ValueError for an unknown one."""
    if activation not in MODULES:
        raise ValueError(f"activation: expected one of {', '.join(MODULES)}; got {activation!r}")
    if output not in ("sigmoid", "linear"):
        raise ValueError(f"output: expected sigmoid or linear; got {output!r}")


def module_of(name: str) -> list[nn.Module]:
    """Returns the activation or output of a name as a module, in a list that is empty for "linear"."""
    if name == "linear":
        return []
    return [nn.Sigmoid() if name == "sigmoid" else MODULES[name]()]


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

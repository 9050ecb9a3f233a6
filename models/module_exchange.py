"""Parameters that go from a flat vector into a module of PyTorch, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

# Gives each parameter of a module together with its view into a flat vector [P], of the same shape.
Pairs = Callable[[nn.Sequential, Tensor], Iterable[tuple[Tensor, Tensor]]]


def filled(module: nn.Sequential, parameters: Tensor | None, pairs: Pairs) -> nn.Sequential:
    """Returns a module with the values, the dtype and the device of parameters [P]; as it is if there are none."""
    if parameters is None:
        return module
    module = module.to(parameters)
    with torch.no_grad():
        for theirs, mine in pairs(module, parameters):
            theirs.copy_(mine)
    return module


def flattened(module: nn.Sequential, num_elements: int, pairs: Pairs) -> Tensor:
    """Inverts `filled`: returns a flat vector [P] of so many elements, of the module's dtype, on its device."""
    flat = next(module.parameters()).new_zeros(num_elements).detach()
    with torch.no_grad():
        for theirs, mine in pairs(module, flat):
            mine.copy_(theirs)
    return flat

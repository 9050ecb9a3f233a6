"""Where the parameters of a model lie in one flat vector, in which they are trained, stacked, copied and stored."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

# In elements: every parameter starts on a cache line, so that matrix products are faster, and give the same bits
# wherever the vector itself lies.
ALIGNMENT = 16


class Parameter(NamedTuple):
    """A parameter of a model.

    Attributes:
        name: its name, unique in the model.
        shape: its shape as it lies in memory.
        is_weight: whether penalties and decay of weights apply to it; they spare biases.
    """

    name: str
    shape: tuple[int, ...]
    is_weight: bool


class Layout:
    """Where each parameter lies in a flat vector: all weights, then all others, each on a cache line.

    With the weights in one piece, penalties and decay that spare the biases are single operations on a slice. The gaps
    between parameters are zero and stay zero: nothing ever writes them, and Adam does not move a parameter without a
    gradient. P is the length of the vector.

    Args:
        parameters: the model's parameters; weights, and others, keep their order.

    Attributes:
        num_elements: P, gaps included.
        num_weights: length of the part that holds the weights.
        num_parameters: number of parameters that a model learns, gaps excluded.
    """

    def __init__(self, parameters: Sequence[Parameter]):
        self._parameters = sorted(parameters, key=lambda parameter: not parameter.is_weight)
        self._sizes = [math.prod(parameter.shape) for parameter in self._parameters]
        ends = list(itertools.accumulate(math.ceil(size / ALIGNMENT) * ALIGNMENT for size in self._sizes))
        self._starts = [0, *ends[:-1]]
        self.num_parameters = sum(self._sizes)
        self.num_weights = ends[sum(parameter.is_weight for parameter in parameters) - 1]
        self.num_elements = ends[-1]

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Returns the parameters by name, as views into a flat vector [P], or into a stack of them [K, P]."""
        prefix = flat.shape[:-1]
        return {
            parameter.name: flat.narrow(-1, start, size).view(*prefix, *parameter.shape)
            for parameter, start, size in zip(self._parameters, self._starts, self._sizes, strict=True)
        }

    def of_each(
        self, function: Callable[[dict[str, Tensor], Tensor], Tensor], parameters: Tensor, inputs: Tensor
    ) -> Tensor:
        """Calls a function of a model's views and inputs for parameters [P], or for each of a stack [K, P].

        The inputs of a stack are shared, [N, ...], or each model's own, [K, N, ...], if they have three dimensions.
        """
        views = self.views(parameters)
        if parameters.ndim == 1:
            return function(views, inputs)
        return torch.func.vmap(function, in_dims=(0, 0 if inputs.ndim == 3 else None))(views, inputs)

"""Adam on flat parameter vectors, and the schedules of the learning rate.

Both follow PyTorch: `torch.optim.Adam` (AdamW for decoupled decay) and `torch.optim.lr_scheduler`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim.adam import adam

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

# The defaults of torch.optim.lr_scheduler.OneCycleLR. Its cycling of Adam's first beta is not implemented.
WARM_UP_FRACTION, INITIAL_DIVISOR, FINAL_DIVISOR = 0.3, 25.0, 1e4


def constant(step: int, num_steps: int) -> float:
    """Returns the factor 1: the learning rate is the peak rate throughout."""
    return 1.0


def cosine(step: int, num_steps: int) -> float:
    """Returns a factor that falls from 1 to 0 along half a cosine: CosineAnnealingLR with T_max = num_steps."""
    return (1 + math.cos(math.pi * min(step, num_steps) / num_steps)) / 2


def one_cycle(step: int, num_steps: int) -> float:
    """Returns a factor that rises from 1/25 to 1 over the first 30 % of the steps, then falls to 4e-6: OneCycleLR."""
    initial = 1 / INITIAL_DIVISOR
    top = WARM_UP_FRACTION * num_steps - 1
    last = num_steps - 1
    if step <= top:
        return _anneal(initial, 1.0, step / top if top > 0 else 1.0)
    return _anneal(1.0, initial / FINAL_DIVISOR, min(1.0, (step - top) / (last - top)) if last > top else 1.0)


def _anneal(start: float, end: float, fraction: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))


# Schedules by name. A schedule maps (step from 0, number of steps of the whole training) to a factor on the peak rate.
FACTORS: dict[str, Callable[[int, int], float]] = {"constant": constant, "cosine": cosine, "one_cycle": one_cycle}


def adam_step(
    parameters: Tensor, gradient: Tensor, moment1: Tensor, moment2: Tensor, step: Tensor, learning_rate: float
) -> None:
    """Applies one step of Adam to one member, in place, with PyTorch's fused kernel.

    Args:
        parameters: parameters, [P].
        gradient: gradient of the objective, [P].
        moment1: running mean of the gradient, [P].
        moment2: running mean of the squared gradient, [P].
        step: number of steps done so far, a float32 scalar on the same device; it is incremented.
        learning_rate: learning rate of this step.
    """
    adam(
        [parameters],
        [gradient],
        [moment1],
        [moment2],
        [],
        [step],
        fused=True,
        amsgrad=False,
        beta1=BETA1,
        beta2=BETA2,
        lr=learning_rate,
        weight_decay=0.0,
        eps=EPSILON,
        maximize=False,
    )


def decay_weights(weights: Tensor, learning_rate: float, weight_decay: float) -> None:
    """Applies decoupled decay in place, before Adam's step: AdamW (Loshchilov and Hutter 2019), as in PyTorch."""
    with torch.no_grad():
        weights.mul_(1 - learning_rate * weight_decay)

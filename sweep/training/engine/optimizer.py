"""Adam over flat parameter vectors, and how the learning rate moves over a training.

Both follow PyTorch's own: `torch.optim.Adam` (AdamW for decoupled decay) and `torch.optim.lr_scheduler`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim.adam import adam

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

# The defaults of torch.optim.lr_scheduler.OneCycleLR. Its cycling of Adam's first beta is left out.
WARM_UP_FRACTION, INITIAL_DIVISOR, FINAL_DIVISOR = 0.3, 25.0, 1e4


def constant(step: int, num_steps: int) -> float:
    """The peak rate throughout."""
    return 1.0


def cosine(step: int, num_steps: int) -> float:
    """From the peak rate to 0 along half a cosine: CosineAnnealingLR with T_max = num_steps."""
    return (1 + math.cos(math.pi * min(step, num_steps) / num_steps)) / 2


def one_cycle(step: int, num_steps: int) -> float:
    """Up from a 25th of the peak over the first 30 % of the steps, then down to nearly nothing: OneCycleLR."""
    initial = 1 / INITIAL_DIVISOR
    top = WARM_UP_FRACTION * num_steps - 1
    last = num_steps - 1
    if step <= top:
        return _anneal(initial, 1.0, step / top if top > 0 else 1.0)
    return _anneal(1.0, initial / FINAL_DIVISOR, min(1.0, (step - top) / (last - top)) if last > top else 1.0)


def _anneal(start: float, end: float, fraction: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))


# Name to factor on the peak learning rate: (step from 0, number of steps of the whole training) -> factor.
FACTORS: dict[str, Callable[[int, int], float]] = {"constant": constant, "cosine": cosine, "one_cycle": one_cycle}


def adam_step(
    parameters: Tensor, gradient: Tensor, moment1: Tensor, moment2: Tensor, step: Tensor, learning_rate: float
) -> None:
    """One step of Adam on one member, in place, by PyTorch's fused kernel.

    Args:
        parameters: [P]; `gradient`, `moment1` and `moment2` alike.
        gradient: of the objective.
        moment1: running mean of the gradient.
        moment2: running mean of its square.
        step: float32 scalar on the same device: steps done so far; is raised by one.
        learning_rate: of this step.
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
    """Decoupled decay, in place, before Adam's step: AdamW (Loshchilov and Hutter 2019) as PyTorch does it."""
    with torch.no_grad():
        weights.mul_(1 - learning_rate * weight_decay)

"""What one epoch of one member of a pack came to."""

from __future__ import annotations

import dataclasses

from torch import Tensor


@dataclasses.dataclass(frozen=True)
class EpochResult:
    """Result of one epoch of one member.

    Attributes:
        epoch: number of the epoch, counted from 1.
        loss: the objective with its penalties, mean over the epoch's images, as trained: with dropout and noise.
        reconstruction_mse: the objective's first part, the squared error per pixel against the clean image.
        learning_rate: learning rate of the epoch's last step.
        seconds: training time; the member's share of it where members are trained in lock-step.
        diverged: whether a loss or a parameter is infinite or not a number.
        step_losses: the objective of each step, float64 [steps], CPU.
    """

    epoch: int
    loss: float
    reconstruction_mse: float
    learning_rate: float
    seconds: float
    diverged: bool
    step_losses: Tensor

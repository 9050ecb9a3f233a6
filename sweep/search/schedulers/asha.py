"""Asynchronous successive halving among the trials of one cell.

The rule is that of Li et al., A System for Massively Parallel Hyperparameter Tuning (MLSys 2020), as Ray Tune's
`AsyncHyperBandScheduler` applies it: a trial that reaches a rung goes on if its value is within the best
1 / reduction_factor of the values that the rung had seen before it. The best trial so far always goes on, so a cell
ends with a fully trained best.

The rule does not depend on Ray, so that each decision can be derived again from the journal's rows alone.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from aesweep.study.schema import Stage


@dataclasses.dataclass(frozen=True)
class Decision:
    """ASHA's decision on a trial at a rung, with its reason.

    Attributes:
        rung: the rung's epoch.
        keep: whether the trial goes on.
        cutoff: the value that the trial had to reach; None where it was the first at the rung.
        num_compared: number of trials that had reached the rung before.
    """

    rung: int
    keep: bool
    cutoff: float | None
    num_compared: int


class Asha:
    """The rungs of one cell.

    Args:
        rungs: the epochs at which trials are compared, ascending.
        reduction_factor: the best 1 / reduction_factor of the trials go on.
        mode: "min" where a smaller value is better, else "max".
    """

    def __init__(self, rungs: list[int], reduction_factor: float, mode: str):
        self._seen: dict[int, dict[str, float]] = {rung: {} for rung in rungs}
        self._quantile = 1 - 1 / reduction_factor
        self._sign = -1.0 if mode == "min" else 1.0

    def decide(self, trial: str, epoch: int, value: float) -> Decision | None:
        """Records a trial's value at a rung and returns the decision.

        Args:
            trial: the trial's id.
            epoch: 1-based; every epoch is reported.
            value: the stage's metric, finite (a diverged trial is not compared with others).

        Returns:
            The decision; None where the epoch is not a rung, or where the trial has a decision already.

        Raises:
            ValueError: the value is not finite.
        """
        seen = self._seen.get(epoch)
        if seen is None or trial in seen:
            return None
        if not math.isfinite(value):
            raise ValueError(f"trial {trial}, epoch {epoch}: expected a finite value, got {value}")
        reward = self._sign * value
        cutoff = float(np.quantile(list(seen.values()), self._quantile)) if seen else None
        decision = Decision(
            rung=epoch,
            keep=cutoff is None or reward >= cutoff,
            cutoff=None if cutoff is None else self._sign * cutoff,
            num_compared=len(seen),
        )
        seen[trial] = reward
        return decision


def asha_of(stage: Stage) -> Asha:
    """Returns the empty rungs of a cell of a stage; without rungs no trial is stopped."""
    factor = math.inf if stage.asha == "none" else stage.asha.reduction_factor
    return Asha(stage.rungs(), factor, stage.mode)

"""Asynchronous successive halving among the trials of one cell.

The rule is that of Li et al., A System for Massively Parallel Hyperparameter Tuning (MLSys 2020), as Ray Tune's
`AsyncHyperBandScheduler` applies it: a trial that reaches a rung goes on if its value is within the best
1 / reduction_factor of the values that the rung had seen before it. The best trial so far always goes on, so a cell
ends with a fully trained best.

With a `significance` the rule knows noise: a trial of several seeds that would be stopped goes on nevertheless, unless
it is worse than its rival by more than the spread of the seeds explains at that level (`seed_spread.py`). Its rival is
the worst of the earlier trials that reach the cutoff.

The rule does not depend on Ray, so that each decision can be derived again from the journal's rows alone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from aesweep.search.schedulers.brackets import bracket_rungs
from aesweep.search.schedulers.seed_spread import Comparison, compare
from aesweep.storage.event import Action
from aesweep.study.schema import Stage

Seeds = Sequence[float | None] | None


@dataclasses.dataclass(frozen=True)
class Decision:
    """ASHA's decision on a trial at a rung, with its reason.

    Attributes:
        rung: the rung's epoch.
        keep: whether the trial goes on.
        cutoff: the value that the trial had to reach; None where it was the first at the rung.
        num_compared: number of trials that had reached the rung before.
        comparison: the trial compared with its rival; None where it reached the cutoff, or seeds do not count.
    """

    rung: int
    keep: bool
    cutoff: float | None
    num_compared: int
    comparison: Comparison | None = None

    def action(self, is_drawn: bool) -> Action:
        """Returns what the decision comes to.

        Args:
            is_drawn: whether the trial, once stopped, is trained on out of competition.
        """
        if self.keep:
            return Action.CONTINUE
        return Action.AUDIT if is_drawn else Action.STOP


class Asha:
    """The rungs of one cell, or of one bracket of it.

    Args:
        rungs: the epochs at which trials are compared, ascending.
        reduction_factor: the best 1 / reduction_factor of the trials go on.
        mode: "min" where a smaller value is better, else "max".
        significance: the level at which seeds' spread is told from a difference; None where seeds do not count.
    """

    def __init__(self, rungs: list[int], reduction_factor: float, mode: str, significance: float | None = None):
        self._significance = significance
        self._per_seed: dict[int, dict[str, Seeds]] = {rung: {} for rung in rungs}
        self._seen: dict[int, dict[str, float]] = {rung: {} for rung in rungs}
        self._quantile = 1 - 1 / reduction_factor
        self._sign = -1.0 if mode == "min" else 1.0

    def decide(self, trial: str, epoch: int, value: float, per_seed: Seeds = None) -> Decision | None:
        """Records a trial's value at a rung and returns the decision.

        Args:
            trial: the trial's id.
            epoch: 1-based; every epoch is reported.
            value: the stage's metric, finite (a diverged trial is not compared with others).
            per_seed: the validation MSE of each seed; None where it is not known.

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
        self._per_seed[epoch][trial] = per_seed
        keep, comparison = cutoff is None or reward >= cutoff, None
        if not keep and self._significance is not None:
            rival = min((name for name in seen if seen[name] >= cutoff), key=seen.get)
            comparison = compare(trial, rival, self._per_seed[epoch], self._significance)
            keep = comparison is not None and not comparison.is_worse
        decision = Decision(
            rung=epoch,
            keep=keep,
            cutoff=None if cutoff is None else self._sign * cutoff,
            num_compared=len(seen),
            comparison=comparison,
        )
        seen[trial] = reward
        return decision


def asha_of(stage: Stage, bracket: int | None) -> Asha:
    """Returns the empty rungs of a cell of a stage, or of one of its brackets; without rungs no trial is stopped."""
    if stage.asha == "none":
        return Asha([], math.inf, stage.mode)
    return Asha(bracket_rungs(stage, bracket), stage.asha.reduction_factor, stage.mode, stage.asha.significance)

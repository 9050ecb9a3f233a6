"""Brackets of early stopping: in bracket s, trials pass the first s rungs without being compared.

Whether halving may begin after a few epochs depends on how well early values foretell late ones, which nobody knows
beforehand. Hyperband therefore divides its trials among brackets that begin later and later, and gives each about the
same number of epochs. Source: Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization (JMLR
2018), and for brackets of asynchronous halving Li et al., A System for Massively Parallel Hyperparameter Tuning (MLSys
2020).
"""

from __future__ import annotations

import bisect
import itertools
import math

from aesweep.study.schema import Stage


def bracket_of(stage: Stage, sample: int) -> int | None:
    """Returns the bracket of a sample of a cell.

    A bracket's share of the samples is inversely proportional to the epochs that one of its trials is expected to take.
    The multiples of e, modulo one, deal the samples evenly from the first on, and independently of the quasi-random
    draws, which are multiples of square roots.

    Args:
        stage: the stage's settings.
        sample: number of the sample, from 0.

    Returns:
        The number of rungs that its trial skips; None where the stage has no brackets.
    """
    num_brackets = None if stage.asha == "none" else stage.asha.brackets
    if num_brackets is None:
        return None
    ends = list(itertools.accumulate(1 / _epochs_per_trial(stage, bracket) for bracket in range(num_brackets)))
    return bisect.bisect_right(ends, sample * math.e % 1.0 * ends[-1], hi=num_brackets - 1)


def bracket_rungs(stage: Stage, bracket: int | None) -> list[int]:
    """Returns the epochs at which the trials of a bracket are compared; all rungs where the stage has no brackets."""
    return stage.rungs()[bracket or 0 :]


def _epochs_per_trial(stage: Stage, bracket: int) -> float:
    """Returns how many epochs a trial takes on average, if one in `reduction_factor` goes on from each rung."""
    total, share, since = 0.0, 1.0, 0
    for rung in [*bracket_rungs(stage, bracket), stage.epochs]:
        total += share * (rung - since)
        share, since = share / stage.asha.reduction_factor, rung
    return total

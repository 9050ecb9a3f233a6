"""Whether a trial is worse than another by more than the spread of their seeds explains.

The logarithm of the validation MSE of trial i with seed s is taken as m_i + c_s + e_is: what the trial reaches, what
the seed does to all trials alike (the same initial draws and order of images), and what is left, of a variance that
all trials of a cell share at a rung. That variance is the mean square of the residuals of the two-way table of trials
and seeds, with (T - 1) (S - 1) degrees of freedom for T trials with S seeds. Means over the seeds are compared, so that
c_s drops out; Student's t at the level alpha, one-sided, gives the margin t * sqrt(2 variance / S).
Source: Montgomery, Design and Analysis of Experiments, on the randomized complete block design.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A trial compared with another, in the logarithm of the validation MSE.

    Attributes:
        rival: the other trial's id.
        difference: how much worse the trial is, mean over the seeds.
        margin: how much the seeds' spread explains.
        significance: the level of the test.
    """

    rival: str
    difference: float
    margin: float
    significance: float

    @property
    def is_worse(self) -> bool:
        """Whether the trial is worse by more than the spread explains."""
        return self.difference > self.margin


def compare(
    trial: str, rival: str, per_seed: Mapping[str, Sequence[float | None] | None], significance: float
) -> Comparison | None:
    """Compares a trial with a rival.

    Args:
        trial, rival: names of the two.
        per_seed: for each trial that has reached the rung, the validation MSE of each seed, in the order of the seeds.
        significance: the level alpha of the test.

    Returns:
        The comparison; None where either trial lacks a positive, finite value of two seeds or more.
    """
    from scipy.special import stdtrit  # a second's import, which only stages with several seeds need

    num_seeds = len(per_seed[trial] or ())
    names = [name for name, values in per_seed.items() if _is_whole(values, num_seeds)]
    if num_seeds < 2 or trial not in names or rival not in names:
        return None
    table = np.log([per_seed[name] for name in names])
    residuals = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    freedom = (len(names) - 1) * (num_seeds - 1)
    variance = float((residuals**2).sum()) / freedom
    means = dict(zip(names, table.mean(1), strict=True))
    return Comparison(
        rival,
        float(means[trial] - means[rival]),
        float(stdtrit(freedom, 1 - significance)) * math.sqrt(2 * variance / num_seeds),
        significance,
    )


def _is_whole(values: Sequence[float | None] | None, num_seeds: int) -> bool:
    return (
        values is not None
        and len(values) == num_seeds
        and all(value is not None and math.isfinite(value) and value > 0 for value in values)
    )

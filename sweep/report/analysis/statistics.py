"""Means with intervals, and ranks.

Intervals are Student's t intervals over seeds: they tell how far the mean would move under other seeds, for the same
images and the same configuration.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean and its uncertainty.

    Attributes:
        mean: mean of the values.
        half_width: half width of the 95 % interval around the mean; None for a single value, which has no spread.
        num_values: number of values.
    """

    mean: float
    half_width: float | None
    num_values: int


def estimate(values: Sequence[float]) -> Estimate | None:
    """Returns the mean of independent values with its 95 % Student-t interval; None for no values.

    half width = t(0.975, n - 1) * s / sqrt(n), with the sample standard deviation s. A NaN among the values makes the
    mean NaN.
    """
    if not len(values):
        return None
    array = np.asarray(values, dtype=np.float64)
    if len(array) == 1:
        return Estimate(float(array[0]), None, 1)
    half_width = t_quantile(len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array))
    return Estimate(float(array.mean()), float(half_width), len(array))


def ranks(values: Sequence[float | None], mode: str) -> list[float | None]:
    """Returns the rank of each value, 1 for the best; equal values share the mean of their ranks, None has no rank.

    Args:
        values: the values to rank.
        mode: "min" where a smaller value is better, else "max".
    """
    sign = 1.0 if mode == "min" else -1.0
    known = [sign * value for value in values if value is not None]
    return [
        None
        if value is None
        else sum(k < sign * value for k in known) + (sum(k == sign * value for k in known) + 1) / 2
        for value in values
    ]


def t_quantile(freedom: float) -> float:
    """Returns the half width of the 95 % interval of Student's t distribution with these degrees of freedom."""
    # scipy.special, since scipy.stats takes a second to import.
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))

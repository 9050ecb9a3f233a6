"""Tests of differences: Welch's, one with a known spread, and Holm's correction for many of them.

Sources: Welch, The generalization of "Student's" problem when several different population variances are involved,
Biometrika 34 (1947); Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics
6 (1979).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.special import stdtr  # scipy.stats takes a second to import

from aesweep.report.analysis.statistics import CONFIDENCE, t_quantile

LEVEL = 1 - CONFIDENCE  # an adjusted p-value below it counts as a difference


@dataclasses.dataclass(frozen=True)
class Spread:
    """An estimated standard deviation.

    Attributes:
        deviation: the standard deviation.
        freedom: its degrees of freedom.
    """

    deviation: float
    freedom: float


@dataclasses.dataclass(frozen=True)
class TTest:
    """The test of one difference against zero.

    Attributes:
        low, high: ends of the 95 % interval of the difference, not corrected for the number of tests.
        p_value: two-sided, not corrected either.
        freedom: degrees of freedom of its t distribution; 0 where neither side has any spread.
    """

    low: float
    high: float
    p_value: float
    freedom: float


def welch(reference: Sequence[float], other: Sequence[float]) -> TTest | None:
    """Tests mean(other) - mean(reference) after Welch, without the assumption that both sides have one variance.

    Args:
        reference, other: independent values, one per seed.

    Returns:
        The test, with Satterthwaite's degrees of freedom; None if either side has fewer than two values or one that is
        not finite, or if the spread is too small or too large for a float. Where neither side has any spread, the
        interval has no width and the p-value is 1 for equal means, else 0.
    """
    sides = [np.asarray(values, dtype=np.float64) for values in (reference, other)]
    if any(len(side) < 2 or not np.isfinite(side).all() for side in sides):
        return None
    difference = float(sides[1].mean() - sides[0].mean())
    if all(np.ptp(side) == 0 for side in sides):
        return with_spread(difference, Spread(0.0, 0.0))
    with np.errstate(over="ignore"):
        variances = [float(side.var(ddof=1)) / len(side) for side in sides]
    total = sum(variances)
    if not 0 < total < math.inf:
        return None
    shares = [(variance / total) ** 2 / (len(side) - 1) for variance, side in zip(variances, sides, strict=True)]
    return with_spread(difference, Spread(math.sqrt(total), 1 / sum(shares)))


def with_spread(difference: float, spread: Spread) -> TTest:
    """Tests a difference whose own standard deviation was estimated from other values, by Student's t distribution."""
    if spread.deviation == 0:
        return TTest(difference, difference, 1.0 if difference == 0 else 0.0, spread.freedom)
    half_width = t_quantile(spread.freedom) * spread.deviation
    p_value = float(2 * stdtr(spread.freedom, -abs(difference) / spread.deviation))
    return TTest(difference - half_width, difference + half_width, p_value, spread.freedom)


def around(test: TTest, difference: float) -> TTest:
    """Returns the test of another difference that has the same standard error, such as one in a neighbouring unit."""
    half_width = (test.high - test.low) / 2
    quantile = t_quantile(test.freedom) if test.freedom else 1.0
    return with_spread(difference, Spread(half_width / quantile, test.freedom))


def pooled_spread(groups: Iterable[Sequence[float]], most_freedom: float = math.inf) -> Spread | None:
    """Returns the standard deviation within groups, of which each counts by its degrees of freedom.

    s^2 = sum over groups of (n - 1) s_g^2 / sum over groups of (n - 1). It assumes that all groups have one variance.

    Args:
        groups: the values of each group.
        most_freedom: upper bound of the degrees of freedom, for groups that are not independent of each other.

    Returns:
        The spread; None if no group has two values.
    """
    arrays = [np.asarray(group, dtype=np.float64) for group in groups]
    freedom = sum(len(array) - 1 for array in arrays if len(array) > 1)
    if not freedom:
        return None
    squares = sum(float(((array - array.mean()) ** 2).sum()) for array in arrays if len(array) > 1)
    return Spread(math.sqrt(squares / freedom), min(freedom, most_freedom))


def spread_of_others(differences: Sequence[float], index: int) -> Spread | None:
    """Returns the root mean square of all differences but one, with as many degrees of freedom.

    If differences are independent and normal around zero with one variance, the left-out one divided by it has
    exactly Student's t distribution. A shift that all of them share makes it larger, and the test more careful.

    Returns:
        The spread; None if fewer than two others are left.
    """
    others = [value for position, value in enumerate(differences) if position != index]
    if len(others) < 2:
        return None
    return Spread(math.sqrt(sum(value**2 for value in others) / len(others)), len(others))


def holm(p_values: Sequence[float | None], share: float = 1.0) -> list[float | None]:
    """Returns p-values adjusted so that a family without any true difference has one below `LEVEL` in 5 % at most.

    The k-th smallest of m p-values is multiplied by m - k + 1 (and no smaller than the one before it). This holds
    whatever the tests have in common.

    Args:
        p_values: those of the family; None for what cannot be tested, which does not count.
        share: the family's share of the 5 %, if several families are to have no more than them together.
    """
    order = sorted((index for index, p in enumerate(p_values) if p is not None), key=lambda index: p_values[index])
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for position, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - position) / share * p_values[index]))
        adjusted[index] = largest
    return adjusted

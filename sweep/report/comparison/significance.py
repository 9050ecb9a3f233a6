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
import scipy.stats

from aesweep.report.analysis.statistics import CONFIDENCE

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
        The test; None if either side has fewer than two values or one that is not finite. Where neither side has any
        spread, the interval has no width and the p-value is 1 for equal means, else 0.
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in (other, reference))
    if min(len(first), len(second)) < 2 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    difference = float(first.mean() - second.mean())
    if np.ptp(first) == 0 and np.ptp(second) == 0:
        return TTest(difference, difference, 1.0 if difference == 0 else 0.0, 0.0)
    result = scipy.stats.ttest_ind(first, second, equal_var=False)
    if not math.isfinite(result.pvalue):
        return None  # the spread is less than the smallest number
    low, high = result.confidence_interval(CONFIDENCE)
    return TTest(float(low), float(high), float(result.pvalue), float(result.df))


def with_spread(difference: float, spread: Spread) -> TTest:
    """Tests a difference whose own standard deviation was estimated from other values, by Student's t distribution."""
    if spread.deviation == 0:
        return TTest(difference, difference, 1.0 if difference == 0 else 0.0, spread.freedom)
    half_width = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, spread.freedom)) * spread.deviation
    p_value = float(2 * scipy.stats.t.sf(abs(difference) / spread.deviation, spread.freedom))
    return TTest(difference - half_width, difference + half_width, p_value, spread.freedom)


def around(test: TTest, difference: float) -> TTest:
    """Returns the test of another difference that has the same standard error, such as one in a neighbouring unit."""
    half_width = (test.high - test.low) / 2
    quantile = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, test.freedom)) if test.freedom else 1.0
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

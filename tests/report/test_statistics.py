"""Intervals and ranks against scipy.stats, which the project itself does not import."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from aesweep.report.analysis.statistics import estimate, ranks


@pytest.mark.parametrize("count", [2, 3, 5, 30])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_interval_of_a_mean_is_scipys(count: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(0.001, 0.0001, count)
    low, high = scipy.stats.t.interval(0.95, count - 1, loc=values.mean(), scale=scipy.stats.sem(values))
    found = estimate(values)
    assert found.mean == pytest.approx(values.mean())
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high))
    assert found.num_values == count


def test_three_values_by_hand() -> None:
    # t(0.975, 2) = 4.30265, s = 1, so the half width is 4.30265 / sqrt(3).
    assert estimate([1.0, 2.0, 3.0]).half_width == pytest.approx(2.48414, abs=1e-5)


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    assert estimate([0.5]).half_width is None
    assert estimate([]) is None


def test_ranks_are_scipys_and_none_has_none() -> None:
    values = [0.3, 0.1, 0.3, 0.2]
    assert ranks(values, "min") == list(scipy.stats.rankdata(values))
    assert ranks(values, "max") == list(scipy.stats.rankdata([-value for value in values]))
    assert ranks([0.2, None, 0.1], "min") == [2.0, None, 1.0]

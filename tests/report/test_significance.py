"""Tests of differences against scipy, closed forms, and a closed test procedure by brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from aesweep.report.analysis.significance import (
    Spread,
    around,
    holm,
    pooled_spread,
    spread_of_others,
    welch,
    with_spread,
)


@pytest.mark.parametrize("sizes", [(2, 2), (3, 5), (10, 4)])
def test_welchs_test_is_that_of_its_formula(sizes):
    random = np.random.default_rng(sizes)
    reference, other = random.normal(1.0, 0.1, sizes[0]), random.normal(1.2, 0.3, sizes[1])
    parts = [values.var(ddof=1) / len(values) for values in (reference, other)]
    freedom = sum(parts) ** 2 / sum(part**2 / (len(v) - 1) for part, v in zip(parts, (reference, other), strict=True))
    t = (other.mean() - reference.mean()) / math.sqrt(sum(parts))
    found = welch(reference, other)
    assert found.freedom == pytest.approx(freedom)
    assert found.p_value == pytest.approx(2 * scipy.stats.t.cdf(-abs(t), freedom))
    expected = scipy.stats.ttest_ind(other, reference, equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_welchs_test_knows_no_unit(scale):
    """The square of a variance would leave the range of a float."""
    values = np.random.default_rng(7).normal(size=(2, 5))
    found, expected = welch(*(scale * values)), welch(*values)
    assert (found.p_value, found.freedom) == pytest.approx((expected.p_value, expected.freedom))
    assert (found.low, found.high) == pytest.approx((scale * expected.low, scale * expected.high))


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_spread_out_of_the_range_of_a_float_is_not_tested(scale):
    assert welch([1.0 * scale, 2.0 * scale], [3.0 * scale, 5.0 * scale]) is None


@pytest.mark.parametrize("values", [([1.0], [1.0, 2.0]), ([], []), ([1.0, math.nan], [1.0, 2.0])])
def test_what_has_no_spread_of_its_own_is_not_tested(values):
    assert welch(*values) is None


def test_values_without_any_spread_differ_or_do_not():
    assert welch([1.0, 1.0], [1.0, 1.0]).p_value == 1.0
    apart = welch([1.0, 1.0], [2.0, 2.0])
    assert (apart.low, apart.high, apart.p_value) == (1.0, 1.0, 0.0)


def test_pooled_spread_of_two_equal_groups_makes_students_test():
    random = np.random.default_rng(3)
    first, second = random.normal(size=6), random.normal(size=6)
    spread = pooled_spread([first, second])
    found = with_spread(second.mean() - first.mean(), Spread(spread.deviation * math.sqrt(2 / 6), spread.freedom))
    expected = scipy.stats.ttest_ind(second, first, equal_var=True)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_test_around_its_own_difference_is_itself():
    random = np.random.default_rng(5)
    first, second = random.normal(size=4), random.normal(1, 2, size=7)
    found = welch(first, second)
    same = around(found, second.mean() - first.mean())
    assert (same.low, same.high, same.p_value) == pytest.approx((found.low, found.high, found.p_value))
    moved = around(found, second.mean() - first.mean() + 1)
    assert (moved.low, moved.high) == pytest.approx((found.low + 1, found.high + 1))


def test_groups_of_one_value_do_not_count_for_the_pooled_spread():
    assert pooled_spread([[1.0], [2.0]]) is None
    assert pooled_spread([[1.0], [1.0, 3.0], [5.0]]) == Spread(math.sqrt(2), 1)


def test_groups_that_depend_on_each_other_have_no_more_freedom_than_is_said():
    assert pooled_spread([[1.0, 3.0]] * 6, most_freedom=2) == Spread(math.sqrt(2), 2)


def test_difference_over_the_spread_of_the_others_has_students_distribution():
    random = np.random.default_rng(4)
    p_values = []
    for _ in range(4000):
        differences = random.normal(0, 0.3, 6)
        p_values.append(with_spread(differences[2], spread_of_others(differences, 2)).p_value)
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 0.01


def test_two_differences_tell_nothing_of_each_other():
    assert spread_of_others([0.1, 0.2], 0) is None
    assert spread_of_others([0.1, 0.3, 0.4], 0) == Spread(pytest.approx(math.sqrt(0.125)), 2)


def closed_bonferroni(p_values: list[float]) -> list[float]:
    """Adjusted p-values of the closed test procedure that tests each intersection by Bonferroni, which is Holm's."""
    indices = range(len(p_values))
    subsets = [s for size in range(1, len(p_values) + 1) for s in itertools.combinations(indices, size)]
    return [max(min(1.0, len(s) * min(p_values[i] for i in s)) for s in subsets if index in s) for index in indices]


@pytest.mark.parametrize("seed", range(5))
def test_holms_correction_is_the_closed_bonferroni_procedure(seed):
    p_values = list(np.random.default_rng(seed).uniform(0, 0.2, 6))
    assert holm(p_values) == pytest.approx(closed_bonferroni(p_values))


def test_what_cannot_be_tested_does_not_count_for_the_correction():
    assert holm([0.01, None, 0.02]) == [0.02, None, 0.02]
    assert holm([None]) == [None] and holm([]) == []


def test_family_with_a_share_of_the_level_is_corrected_by_it():
    assert holm([0.01, 0.04], share=0.2) == pytest.approx([0.1, 0.2])

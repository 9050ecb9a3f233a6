"""ASHA that asks whether a trial is worse than its seeds' spread explains: against tests of means, by its promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from aesweep.search.schedulers.asha import Asha
from aesweep.search.schedulers.seed_spread import compare
from tests.chaos.decision_rules import student


@pytest.mark.parametrize("num_seeds", [2, 3, 7])
@pytest.mark.parametrize("significance", [0.2, 0.05, 0.01])
def test_two_trials_are_compared_as_by_a_paired_t_test(num_seeds, significance):
    rng = np.random.default_rng([num_seeds, int(1000 * significance)])
    verdicts = []
    for shift in (0.0, 0.1, 1.0, 5.0, 50.0):
        for _ in range(10):
            logs = rng.normal(0, 0.2, (2, num_seeds)) + rng.normal(0, 1, num_seeds) + [[shift], [0]]
            found = compare("a", "b", {"a": list(np.exp(logs[0])), "b": list(np.exp(logs[1]))}, significance)
            expected = stats.ttest_rel(logs[0], logs[1], alternative="greater")
            assert found.is_worse == (expected.pvalue < significance)
            assert found.difference == pytest.approx(logs[0].mean() - logs[1].mean())
            verdicts.append(found.is_worse)
    assert any(verdicts) and not all(verdicts)


def test_spread_is_that_of_all_trials_about_their_own_and_their_seeds_means():
    rng = np.random.default_rng(1)
    logs = rng.normal(0, 0.2, (6, 4)) + rng.normal(0, 1, 4) + rng.normal(0, 1, (6, 1))
    names = [f"t{k}" for k in range(6)]
    found = compare("t5", "t2", {name: list(np.exp(row)) for name, row in zip(names, logs, strict=True)}, 0.1)
    # Ordinary least squares with a column for each trial and each seed but one.
    rows = [(i, s) for i in range(6) for s in range(4)]
    design = np.array([[*(i == k for k in range(6)), *(s == k for k in range(1, 4))] for i, s in rows], float)
    fitted, residual, _, _ = np.linalg.lstsq(design, np.array([logs[i, s] for i, s in rows]), rcond=None)
    freedom = len(rows) - design.shape[1]
    assert found.difference == pytest.approx(fitted[5] - fitted[2])
    assert found.margin == pytest.approx(stats.t.ppf(0.9, freedom) * math.sqrt(2 * residual[0] / freedom / 4))


@pytest.mark.parametrize("significance", [0.05, 0.2])
def test_equal_trials_are_called_worse_about_as_often_as_the_level_says(significance):
    rng = np.random.default_rng(7)
    worse = 0
    for _ in range(2000):
        logs = rng.normal(0, 0.3, (5, 3)) + rng.normal(0, 1, 3)
        worse += compare("0", "1", {str(k): list(np.exp(row)) for k, row in enumerate(logs)}, significance).is_worse
    assert worse / 2000 == pytest.approx(significance, abs=4 * math.sqrt(significance / 2000))


@pytest.mark.parametrize("per_seed", [None, [], [0.1], [0.1, None], [0.1, 0.0], [0.1, math.nan], [0.1, 0.2, 0.3]])
def test_without_the_values_of_the_same_seeds_nothing_is_compared(per_seed):
    assert compare("a", "b", {"a": [0.2, 0.3], "b": per_seed}, 0.1) is None
    assert compare("b", "a", {"a": [0.2, 0.3], "b": per_seed}, 0.1) is None


def decided(significance, values):
    asha = Asha([1], 3, "min", significance)
    return [asha.decide(str(k), 1, float(np.mean(seeds)), seeds) for k, seeds in enumerate(values)]


def test_trial_goes_on_where_chance_explains_the_difference_and_is_stopped_where_it_does_not():
    values = [[1.0, 1.2, 0.9], [1.1, 1.0, 1.05], [1.05, 1.2, 0.92], [3.0, 3.5, 2.9]]
    plain, spared = decided(None, values), decided(0.05, values)
    assert [decision.keep for decision in plain] == [True, False, False, False]
    assert [decision.keep for decision in spared] == [True, True, True, False]
    assert [decision.comparison is None for decision in spared] == [decision.keep for decision in plain]
    assert all(decision.comparison is None for decision in plain)
    assert [d.cutoff for d in plain] == [d.cutoff for d in spared]
    last = spared[-1].comparison
    assert last.significance == 0.05 and last.difference > last.margin > 0
    # The rival is the worst of those that reach the cutoff.
    means = {str(k): np.mean(seeds) for k, seeds in enumerate(values[:3])}
    reaching = {name: mean for name, mean in means.items() if mean <= spared[-1].cutoff}
    assert last.rival == max(reaching, key=reaching.get)


def test_without_a_difference_between_seeds_the_rule_is_the_plain_one():
    rng = np.random.default_rng(3)
    values = [[value] * 3 for value in rng.random(40)]
    assert [d.keep for d in decided(0.05, values)] == [d.keep for d in decided(None, values)]


def test_fewer_winners_are_lost_to_chance():
    """Cells whose best trial by what it would reach is stopped, of 300: trials that differ little for their spread."""
    lost = {}
    for significance in (None, 0.05):
        lost[significance] = 0
        for seed in range(300):
            rng = np.random.default_rng(seed)
            reached, noise = rng.normal(0, 0.2, 12), rng.normal(0, 0.2, (12, 3)) + rng.normal(0, 0.2, 3)
            values = np.exp(reached[:, None] + noise + rng.normal(0, 0.05, (12, 3)))
            kept = [decision.keep for decision in decided(significance, [list(row) for row in values])]
            lost[significance] += not kept[int(np.argmin(reached))]
    assert lost[0.05] < 0.5 * lost[None], lost


@pytest.mark.parametrize("freedom", [1, 2, 5, 40])
@pytest.mark.parametrize("share", [0.8, 0.95, 0.99])
def test_checker_has_a_quantile_of_its_own(share, freedom):
    assert student(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-5)

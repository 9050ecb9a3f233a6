"""A whole table of cells: whether the other run is better or worse in all of it together.

A training's seed is that of all cells of its run, and decides the order of their images; where cells have models of one
shape, as in a table of regularizers, it decides their initial weights too. So the cells of a run go up and down
together, and their number says little of how sure their mean is. Only seeds count here:

- Each winner has several seeds: the mean over cells is taken for each seed, and Welch's test is over these means.
- Otherwise the mean is allowed to vary as much as one cell does, which it would if all cells went together; its
  variance cannot be larger.

Between studies with other seeds, or other validation images, nothing can be said: see `noise.py`.
"""

from __future__ import annotations

import dataclasses
import math

from aesweep.report.analysis.significance import Spread, TTest, around, welch, with_spread
from aesweep.report.comparison.noise import Noise, additive
from aesweep.report.comparison.types import Basis, Overall
from aesweep.report.rows.types import Trial

Pairs = list[tuple[Trial, Trial]]  # winners of the reference and of the other run, cell by cell


def overall(noise: Noise, pairs: Pairs, metric: str, mode: str) -> Overall | None:
    """Returns the mean difference over cells, with its test; None if a cell's value has no logarithm, or there is none.

    Args:
        noise: the spread behind the cells.
        pairs: the winners.
        metric: name of the metric.
        mode: "min" or "max".
    """
    scaled = [[additive(trial.value(metric), noise.quantity) for trial in pair] for pair in pairs]
    if not pairs or any(None in pair for pair in scaled):
        return None
    differences = [other - reference for reference, other in scaled]
    mean = sum(differences) / len(differences)
    sign = 1 if mode == "max" else -1
    better, worse = (sum(s * sign * value > 0 for value in differences) for s in (1, -1))
    test = _test(noise, pairs, mean)
    if noise.quantity == "mse":
        mean, test = (
            math.expm1(mean),
            test and dataclasses.replace(test, low=math.expm1(test.low), high=math.expm1(min(test.high, 700.0))),
        )
    return Overall(mean, better, worse, test)


def _test(noise: Noise, pairs: Pairs, mean: float) -> TTest | None:
    if noise.basis is Basis.CELLS:
        return None
    sides = [_means(noise, trials) for trials in zip(*pairs, strict=True)]
    if None not in sides and (found := welch(*sides)):
        # The mean of logarithms over seeds is not the logarithm of the mean, which is what the table shows.
        return around(found, mean)
    if noise.spread is None:
        return None
    shares = [math.sqrt(1 / len(first.seeds) + 1 / len(second.seeds)) for first, second in pairs]
    return with_spread(mean, Spread(noise.spread.deviation * sum(shares) / len(shares), noise.spread.freedom))


def _means(noise: Noise, trials: tuple[Trial, ...]) -> list[float] | None:
    """Returns the mean over cells for each seed; None if the winners do not all have values for the same seeds."""
    if any(trial.seeds != trials[0].seeds or len(trial.last.per_seed) != len(trial.seeds) for trial in trials):
        return None
    name = "mse" if noise.quantity == "mse" else "psnr_of_mse"
    values = [[additive(value, name) for value in trial.last.per_seed] for trial in trials]
    if any(None in of_trial for of_trial in values):
        return None
    return [sum(of_seed) / len(of_seed) for of_seed in zip(*values, strict=True)]

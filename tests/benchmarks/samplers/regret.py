"""What a search is worth: its regret over the epochs that it spent, counted in the same way for all searchers.

The incumbent is what would be handed out: of the trials that were trained longest so far, the one with the least error
at its last epoch. Once a trial is fully trained this is the best fully trained trial, as our winners are chosen. Its
regret is the error of its configuration after the whole budget, over the least in the table, minus 1. Before that a
searcher is judged by what it has not paid for, which it is not told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from samplers.curve_tables import CurveTable
from samplers.replay import Told

NUM_RESAMPLES = 2000


def regret_curve(table: CurveTable, told: Sequence[Told], budget: int, cell: int | None = None) -> np.ndarray:
    """Returns the regret of the incumbent after each epoch that was spent.

    Args:
        table: learning curves.
        told: what a search was told.
        budget: number of epochs; where a search ended earlier, its last regret stays.
        cell: judge the trials of a cell alone, against the cell's best; None for all.

    Returns:
        float64 [budget + 1], from no epoch on; infinite while there is no incumbent.
    """
    final = table.final
    best = final.min() if cell is None else final[table.part(cell)].min()
    regrets = np.full(budget + 1, math.inf)
    incumbent: tuple[float, float] | None = None  # minus the epochs that it was trained, and its error
    for spent, event in enumerate(told[:budget], start=1):
        regrets[spent] = regrets[spent - 1]
        if not math.isfinite(event.value) or cell not in (None, table.cells[event.configuration]):
            continue
        candidate = (-event.epoch, event.value)
        if incumbent is None or candidate < incumbent:
            incumbent = candidate
            regrets[spent] = final[event.configuration] / best - 1
    regrets[len(told) + 1 :] = regrets[min(len(told), budget)]
    return regrets


class NothingToGain:
    """Whether the best trial there can be was trained to its end, in every cell or in the table: no regret is left.

    A replay may end there, since nothing that follows changes a regret.

    Args:
        table: learning curves.
        with_cells: whether the best of every cell is looked for.
    """

    def __init__(self, table: CurveTable, with_cells: bool):
        self._table = table
        parts = [table.part(cell) for cell in range(table.num_cells)] if with_cells else [np.arange(len(table.final))]
        self._left = [set(part[table.final[part] == table.final[part].min()].tolist()) for part in parts]

    def __call__(self, event: Told) -> bool:
        if event.epoch == self._table.errors.shape[1]:
            self._left = [best for best in self._left if event.configuration not in best]
        return not self._left


def is_finished(table: CurveTable, told: Sequence[Told], cell: int) -> bool:
    """Returns whether a trial of a cell was trained to its end."""
    epochs = table.errors.shape[1]
    return any(
        event.epoch == epochs and math.isfinite(event.value) and table.cells[event.configuration] == cell
        for event in told
    )


def epochs_until(regrets: np.ndarray, most: float) -> float:
    """Returns how many epochs were spent when the regret was first at most `most`; infinite where it never was."""
    there = np.flatnonzero(regrets <= most)
    return float(there[0]) if len(there) else math.inf


def medians(rows: np.ndarray) -> np.ndarray:
    """Returns the median of each row [N, seeds], where infinite values stand for what was not reached.

    Of a finite and an infinite middle value there is no mean: the median is then the lower one.
    """
    ordered = np.sort(rows, axis=1)
    low, high = ordered[:, (rows.shape[1] - 1) // 2], ordered[:, rows.shape[1] // 2]
    return np.where(np.isinf(high), low, (low + high) / 2)


def median(values: Sequence[float]) -> float:
    """Returns the median as `medians` does."""
    return float(medians(np.asarray(values, dtype=np.float64)[None])[0])


def bootstrap_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Returns the 95 % percentile interval of the median over resamples of the seeds; the same at every call.

    Args:
        values: of each seed, [seeds]; or of each seed and cell, [seeds, cells], of which whole seeds are drawn, since
            the cells of one search are not independent of each other.
    """
    random, values = np.random.default_rng(0), np.asarray(values, dtype=np.float64)
    drawn = values[random.integers(len(values), size=(NUM_RESAMPLES, len(values)))]
    found = medians(drawn.reshape(NUM_RESAMPLES, -1))
    low, high = np.quantile(found, [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)

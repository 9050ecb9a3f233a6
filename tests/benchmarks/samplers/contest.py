"""Who is compared, and one replay of each: a searcher by its name, on a table, with cells or without, by a seed."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from samplers.curve_tables import CurveTable, TableDefinition
from samplers.our_search import OurSearch, our_study
from samplers.regret import NothingToGain, epochs_until, is_finished, regret_curve
from samplers.replay import PerCell, Searcher, replay
from samplers.search_axes import SearchAxis

# Settings of the stage for each search of ours: a new one takes one line.
OURS: dict[str, Mapping[str, Any]] = {
    "ours, quasi_random": {"sampler": "quasi_random"},
    "ours, tpe": {"sampler": "tpe"},
    "ours, tpe, 3 brackets": {"sampler": "tpe", "asha": {"brackets": 3}},
    "ours, tpe not shared": {"sampler": {"name": "tpe", "shared": False}},
}
Make = Callable[[Sequence[SearchAxis], int, int], Searcher]  # of axes, epochs of a whole trial, and a seed


def _ray(axes: Sequence[SearchAxis], epochs: int, seed: int) -> Searcher:
    from samplers.ray_tune_search import RayTuneAsha

    return RayTuneAsha(axes, epochs, seed)


def _optuna(pruner: str) -> Make:
    def make(axes: Sequence[SearchAxis], epochs: int, seed: int) -> Searcher:
        from samplers import optuna_search

        return optuna_search.OptunaTpe(axes, epochs, seed, getattr(optuna_search, pruner)(epochs))

    return make


def _syne_tune(name: str) -> Make:
    def make(axes: Sequence[SearchAxis], epochs: int, seed: int) -> Searcher:
        from samplers.syne_tune_search import SyneTuneAsha

        return SyneTuneAsha(axes, epochs, seed, name)

    return make


RANDOM = "Ray Tune, random + ASHA"
RIVALS: dict[str, Make] = {
    RANDOM: _ray,
    "Optuna, TPE + SuccessiveHalving": _optuna("successive_halving"),
    "Optuna, TPE + Hyperband": _optuna("hyperband"),
    "Syne Tune, ASHA": _syne_tune("ASHA"),
    "Syne Tune, BOHB": _syne_tune("BOHB"),
}
SEARCHERS = [*OURS, *RIVALS]


def searcher_of(name: str, definition: TableDefinition, with_cells: bool, seed: int, budget: int) -> Searcher:
    """Returns a searcher; one that knows no cells has a search of its own in each, and a seed."""
    if name in OURS:
        return OurSearch(our_study(definition, OURS[name], seed, with_cells, budget), definition)
    make = RIVALS[name]
    if not with_cells:
        return make(definition.axes, definition.epochs, seed)
    points = itertools.product(*(axis.values for axis in definition.cells))
    names = [axis.name for axis in definition.cells]
    return PerCell(
        [
            (dict(zip(names, point, strict=True)), make(definition.drawn, definition.epochs, 1000 * seed + number))
            for number, point in enumerate(points)
        ]
    )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one replay gave.

    Attributes:
        epochs: number of epochs at which `regrets` is given.
        regrets: the regret at each of these; with cells the mean over the cells.
        until: epochs until the regret is at most 1 %; with cells for each cell; None where it never was.
        finished: with cells the share of cells that have a fully trained trial, at each of `epochs`; else empty.
        spent: epochs that were replayed: fewer than the budget where there was nothing left to gain.
    """

    epochs: list[int]
    regrets: list[float | None]
    until: list[int | None]
    finished: list[float]
    spent: int

    def regret_at(self, epochs: int) -> float:
        """Returns the regret at one of `epochs`; infinite while there is no incumbent."""
        regret = self.regrets[self.epochs.index(epochs)]
        return math.inf if regret is None else regret


def outcome(
    table: CurveTable, name: str, with_cells: bool, num_workers: int, seed: int, budget: int, epochs: Sequence[int]
) -> Outcome:
    """Replays a search.

    Args:
        table: learning curves.
        name: one of `SEARCHERS`.
        with_cells: whether the best of every cell is looked for, or the best of the table.
        num_workers: number of trials that are trained at once.
        seed: of the searcher.
        budget: epochs to spend.
        epochs: at which regrets are told, ascending.
    """
    searcher = searcher_of(name, table.definition, with_cells, seed, budget)
    told = replay(table, searcher, num_workers, budget, NothingToGain(table, with_cells))
    cells = range(table.num_cells) if with_cells else [None]
    curves = [regret_curve(table, told, budget, cell) for cell in cells]
    regrets = np.mean(curves, axis=0)
    until = [epochs_until(curve, 0.01) for curve in curves]
    return Outcome(
        list(epochs),
        [float(regrets[at]) if np.isfinite(regrets[at]) else None for at in epochs],
        [int(found) if np.isfinite(found) else None for found in until],
        [float(np.mean([is_finished(table, told[:at], cell) for cell in cells])) for at in epochs]
        if with_cells
        else [],
        len(told),
    )

"""Replays a search on recorded learning curves, with several workers and a simulated clock.

Each worker trains one trial at a time. An epoch takes the time that the table says; at its end, and not before, the
searcher is told the validation error, and says whether the trial goes on. A searcher holds no table: what it knows is
what it was told. A suggestion takes no simulated time. Epochs are counted when they end; what is still being trained
when the budget is spent is not told to anybody.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

from samplers.curve_tables import CurveTable

Values = Mapping[str, Any]  # axis name to value, of all of the table's axes


class Searcher(Protocol):
    """Chooses configurations, and stops trials."""

    def ask(self) -> tuple[Hashable, Values] | None:
        """Returns a new trial's name and values; None where there is nothing to train. Called when a worker is free."""

    def tell(self, trial: Hashable, epoch: int, value: float) -> bool:
        """Takes a trial's validation MSE, finite, after an epoch, 1-based; returns whether the trial goes on.

        The last epoch is told as well; what is returned then does not matter.
        """

    def fail(self, trial: Hashable, epoch: int) -> None:
        """Learns that a trial diverged in an epoch; it is over."""


@dataclasses.dataclass(frozen=True)
class Told:
    """What was told of one epoch.

    Attributes:
        time: of the simulated clock.
        trial: the trial's name.
        configuration: its number in the table.
        epoch: 1-based.
        value: the validation MSE; not a number where the trial diverged.
        goes_on: whether the trial goes on.
    """

    time: float
    trial: Hashable
    configuration: int
    epoch: int
    value: float
    goes_on: bool


def replay(
    table: CurveTable,
    searcher: Searcher,
    num_workers: int,
    budget: int,
    is_over: Callable[[Told], bool] = lambda _: False,
) -> list[Told]:
    """Returns what was told, in order: `budget` epochs, or fewer where the searcher had nothing left.

    Args:
        table: learning curves.
        searcher: what is judged.
        num_workers: number of trials that are trained at once.
        budget: number of epochs that may end.
        is_over: called with all that was told, as it is told; once it returns true, the replay ends.
    """
    order = itertools.count()  # of equal times, what began first ends first
    running: list[tuple[float, int, Hashable, int, int]] = []
    told: list[Told] = []

    def begin(time: float, trial: Hashable, configuration: int, epoch: int) -> None:
        duration = float(table.epoch_times[configuration])
        heapq.heappush(running, (time + duration, next(order), trial, configuration, epoch))

    def fill(time: float) -> None:
        while len(running) < num_workers and (asked := searcher.ask()) is not None:
            trial, values = asked
            begin(time, trial, table.index(values), 1)

    fill(0.0)
    while running and len(told) < budget:
        time, _, trial, configuration, epoch = heapq.heappop(running)
        value = float(table.errors[configuration, epoch - 1])
        if math.isfinite(value):
            goes_on = searcher.tell(trial, epoch, value) and epoch < table.errors.shape[1]
        else:
            searcher.fail(trial, epoch)
            goes_on = False
        told.append(Told(time, trial, configuration, epoch, value, goes_on))
        if goes_on:
            begin(time, trial, configuration, epoch + 1)
        if is_over(told[-1]):
            break
        fill(time)
    return told


class PerCell:
    """Searches one cell after the other by a searcher of its own each, for searchers that know no cells.

    The next trial is one of the cell for which the fewest epochs were trained, of those the one with the fewest trials,
    so that the budget is divided evenly at any time.

    Args:
        searchers: for each cell, its values on the axes of the cells, and its searcher, which knows the other axes.
    """

    def __init__(self, searchers: list[tuple[Values, Searcher]]):
        self._searchers = searchers
        self._spent = [[0, 0] for _ in searchers]

    def ask(self) -> tuple[Hashable, Values] | None:
        for cell in sorted(range(len(self._searchers)), key=lambda cell: self._spent[cell]):
            fixed, searcher = self._searchers[cell]
            asked = searcher.ask()
            if asked is not None:
                self._spent[cell][1] += 1
                return (cell, asked[0]), {**fixed, **asked[1]}
        return None

    def tell(self, trial: Hashable, epoch: int, value: float) -> bool:
        cell, name = trial
        self._spent[cell][0] += 1
        return self._searchers[cell][1].tell(name, epoch, value)

    def fail(self, trial: Hashable, epoch: int) -> None:
        cell, name = trial
        self._spent[cell][0] += 1
        self._searchers[cell][1].fail(name, epoch)

"""Derives the winner of each cell and of a stage from the journal alone. No other module holds this rule.

Only fully trained trials can win (ASHA ensures that every cell has one, unless all of its trials failed), by the
validation metric of their last epoch. Of equal trials the one that was created first wins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from aesweep.storage.event import CellKey, Event, cell_key
from aesweep.storage.events import CellWinner, StageWinner
from aesweep.storage.run_state import RunState, TrialState
from aesweep.study.configuration import Configuration

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Winner:
    """The best fully trained trial of a cell.

    Attributes:
        stage, dataset: names of the stage and the data set of the cell.
        cell: axis name to value.
        trial: its id.
        value: the stage's metric at its last epoch.
        configuration: what it trained.
    """

    stage: str
    dataset: str
    cell: dict[str, Any]
    trial: str
    value: float
    configuration: Configuration


def is_better(mode: str, value: float, other: float | None) -> bool:
    """Returns whether a value of a metric is better than another; true where there is no other.

    Args:
        mode: "min" where less is better, else "max".
        value: finite.
        other: finite, or None.
    """
    if other is None:
        return True
    return value < other if mode == "min" else value > other


def best(mode: str, items: Iterable[tuple[Item, float | None]]) -> Item | None:
    """Returns the item with the best value, the first of equal ones; None where no item has a value."""
    leader: tuple[Item, float] | None = None
    for item, value in items:
        if value is not None and is_better(mode, value, leader[1] if leader else None):
            leader = item, value
    return leader[0] if leader else None


def value_of(trial: TrialState, metric: str) -> float | None:
    """Returns the value with which a trial competes for its cell; None where it was not trained to its end."""
    return getattr(trial.row, metric) if trial.is_completed else None


def cell_winners(state: RunState, stage: str) -> dict[tuple[str, CellKey], Winner | None]:
    """Returns the winner of each cell of a stage that has begun.

    Returns:
        (data set, cell key) to winner, in the order in which the cells were created; None where no trial of the cell
        was trained to the end.
    """
    opening = state.stages[stage].openings[0]
    cells: dict[tuple[str, CellKey], list[TrialState]] = {}
    for trial in state.of(stage).values():
        cells.setdefault((trial.created.dataset, cell_key(trial.created.cell)), []).append(trial)
    winners: dict[tuple[str, CellKey], Winner | None] = {}
    for key, trials in cells.items():
        leader = best(opening.mode, ((trial, value_of(trial, opening.metric)) for trial in trials))
        winners[key] = leader and Winner(
            stage,
            leader.created.dataset,
            leader.created.cell,
            leader.created.trial,
            value_of(leader, opening.metric),
            Configuration.from_dict(leader.created.configuration),
        )
    return winners


def stage_winner(winners: dict[tuple[str, CellKey], Winner | None], dataset: str, mode: str) -> Winner | None:
    """Returns the best of a stage's cell winners on one data set; None where no cell has a winner."""
    mine = [winner for (name, _), winner in winners.items() if name == dataset and winner is not None]
    return best(mode, ((winner, winner.value) for winner in mine))


def winner_events(state: RunState, stage: str, mode: str, datasets: Iterable[str]) -> Iterator[Event]:
    """Yields the events that record the winners at a stage's end."""
    winners = cell_winners(state, stage)
    for (dataset, cell), winner in winners.items():
        trial, value = (winner.trial, winner.value) if winner else (None, None)
        yield CellWinner(stage=stage, dataset=dataset, cell=dict(cell), trial=trial, value=value)
    for dataset in datasets:
        leader = stage_winner(winners, dataset, mode)
        if leader is not None:
            values = {name: getattr(leader, name) for name in ("stage", "dataset", "cell", "trial", "value")}
            yield StageWinner(**values, configuration=leader.configuration.as_dict())

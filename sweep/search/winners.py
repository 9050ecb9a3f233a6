"""Winners, from the journal's events alone: of each cell, and of a stage.

Only fully trained trials can win (ASHA sees to it that every cell has one, unless all of its trials failed), and only
by the validation metric of their last epoch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from aesweep.search.trial_spec import cell_key
from aesweep.study.configuration import Configuration


@dataclasses.dataclass(frozen=True)
class Winner:
    """The best fully trained trial of a cell.

    Attributes:
        stage, dataset: where it ran.
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


def cell_winners(events: list[dict[str, Any]], stage: str) -> dict[tuple, Winner | None]:
    """The winner of each cell of a stage.

    Args:
        events: the journal's events, in order.
        stage: its name.

    Returns:
        (dataset, cell key) to winner, in the order in which the cells were created; None where no trial of the cell
        was trained to the end.
    """
    start = next(event for event in events if event["kind"] == "stage_started" and event["stage"] == stage)
    sign = 1.0 if start["mode"] == "min" else -1.0
    trials = {e["trial"]: e for e in events if e["kind"] == "trial_created" and e["stage"] == stage}
    last = {e["trial"]: e for e in events if e["kind"] == "row" and e["trial"] in trials}
    completed = {e["trial"] for e in events if e["kind"] == "trial_ended" and e["status"] == "completed"}
    best: dict[tuple, Winner | None] = {}
    for name, trial in trials.items():
        key = (trial["dataset"], cell_key(trial["cell"]))
        best.setdefault(key, None)
        if name not in completed:
            continue
        value = last[name][start["metric"]]
        if value is None:
            continue
        if best[key] is None or sign * value < sign * best[key].value:
            configuration = Configuration.from_dict(trial["configuration"])
            best[key] = Winner(stage, trial["dataset"], trial["cell"], name, value, configuration)
    return best


def stage_winner(winners: dict[tuple, Winner | None], dataset: str, mode: str) -> Winner | None:
    """The best of a stage's cells on one data set; None where no cell has a winner."""
    sign = 1.0 if mode == "min" else -1.0
    found = [winner for (name, _), winner in winners.items() if name == dataset and winner is not None]
    return min(found, key=lambda winner: sign * winner.value, default=None)


def winner_events(
    events: list[dict[str, Any]], stage: str, mode: str, datasets: Iterable[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a stage's end records of its winners, as (kind, fields)."""
    winners = cell_winners(events, stage)
    for (dataset, cell), winner in winners.items():
        trial, value = (winner.trial, winner.value) if winner else (None, None)
        yield "cell_winner", {"stage": stage, "dataset": dataset, "cell": dict(cell), "trial": trial, "value": value}
    for dataset in datasets:
        best = stage_winner(winners, dataset, mode)
        if best is not None:
            fields = {name: getattr(best, name) for name in ("stage", "dataset", "cell", "trial", "value")}
            yield "stage_winner", {**fields, "configuration": best.configuration.as_dict()}

"""Ranks trials among those that they compete with, so that trials of different cells can be learned from together.

Values are compared within a cell and at equal epochs alone: at each rung, and at the end. A rank does not depend on how
hard a cell is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from aesweep.storage.event import TrialStatus, cell_key
from aesweep.storage.run_state import TrialState
from aesweep.study.schema import Stage


def standings(trials: Sequence[TrialState], stage: Stage) -> dict[str, float]:
    """Returns how each trial stands among its rivals: those of its data set, cell and budget.

    At a rung all that have reached it are compared, and the best in `reduction_factor` of them are ranked by the later
    rungs. A trial that was trained on though others were better, because it was early, keeps its rank at the rung,
    unless it proves better later than one of the best does. Trials that diverged come last.

    Args:
        trials: trials of the stage. Those without a value at a rung, or that failed, have no standing.
        stage: the stage's settings.

    Returns:
        Trial name to a rank in (0, 1), the middle of the trial's share of the ranks; the best has the smallest.
    """
    groups: dict[Any, list[TrialState]] = {}
    for trial in trials:
        created = trial.created
        groups.setdefault((created.dataset, cell_key(created.cell), created.epochs), []).append(trial)
    found: dict[str, float] = {}
    for (_, _, epochs), rivals in groups.items():
        levels = [*stage.model_copy(update={"epochs": epochs}).rungs(), epochs]
        ranking = _ranking(rivals, levels, stage)
        ranking += [trial for trial in rivals if trial.status is TrialStatus.DIVERGED]
        for place, trial in enumerate(ranking):
            found[trial.created.trial] = (place + 0.5) / len(ranking)
    return found


def _ranking(trials: list[TrialState], levels: list[int], stage: Stage) -> list[TrialState]:
    """Returns the trials that have a value at the first of some levels, the best first."""
    level, *later = levels
    sign = 1.0 if stage.mode == "min" else -1.0
    values = {id(trial): _value(trial, level, stage.metric) for trial in trials}
    reached = [trial for trial in trials if values[id(trial)] is not None]
    reached.sort(key=lambda trial: sign * values[id(trial)])
    if not later:
        return reached
    num_best = math.ceil(len(reached) / stage.asha.reduction_factor)
    best = {id(trial) for trial in reached[:num_best]}
    ahead = _ranking(reached, later, stage)
    while ahead and id(ahead[-1]) not in best:
        ahead.pop()
    names = {id(trial) for trial in ahead}
    return ahead + [trial for trial in reached if id(trial) not in names]


def _value(trial: TrialState, epoch: int, metric: str) -> float | None:
    """Returns a trial's value after an epoch; None where it has none, or it ended without being compared."""
    is_out = trial.audited_from is None and trial.status in (TrialStatus.DIVERGED, TrialStatus.FAILED)
    rows = [] if is_out else trial.competing_rows
    return getattr(rows[epoch - 1], metric) if len(rows) >= epoch else None

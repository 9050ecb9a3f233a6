"""Retention of trials' artifacts: the states of trials under training, and the model of the best trial in each cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from aesweep.run.callbacks.callback import Callback
from aesweep.search.winners import best
from aesweep.storage.artifacts import Files
from aesweep.storage.event import Event, TrialStatus, cell_key
from aesweep.storage.events import Row, StageStarted, TrialCreated, TrialEnded
from aesweep.storage.run_folder import CHECKPOINTS, STATES, states_among


class Retention(Callback):
    """Removes a trial's artifacts once they are of no more use.

    Args:
        files: the run's files.
        events: the journal so far; checkpoints that should have been removed before a kill are removed now.
    """

    def __init__(self, files: Files, events: Iterable[Event]):
        self._files = files
        self._openings: dict[str, StageStarted] = {}
        self._created: dict[str, TrialCreated] = {}  # in the order of creation
        self._last_rows: dict[str, Row] = {}  # of trials that have a model
        self._kept: dict[tuple[Any, ...], str] = {}  # cell to the trial whose model is kept
        gone = {name for event in events for name in self._superseded(event)}
        for name in gone & {f"{CHECKPOINTS}/{name}" for name in files.names(CHECKPOINTS)} if gone else ():
            files.remove(name)

    def follow(self, event: Event) -> None:
        for name in self._superseded(event):
            self._files.remove(name)
        if isinstance(event, TrialEnded) and event.status is not TrialStatus.INTERRUPTED:
            for _, name in states_among(self._files.names(STATES), event.trial):
                self._files.remove(f"{STATES}/{name}")

    def _superseded(self, event: Event) -> Iterator[str]:
        """Yields the checkpoints that an event makes superfluous, because their cell has a better one."""
        match event:
            case StageStarted():
                self._openings.setdefault(event.stage, event)
            case TrialCreated():
                self._created[event.trial] = event
            case Row() if event.checkpoint:
                self._last_rows[event.trial] = event
            case TrialEnded(status=TrialStatus.AUDITED) if event.trial in self._last_rows:
                yield self._last_rows.pop(event.trial).checkpoint["file"]  # it cannot win
            case TrialEnded() if event.trial in self._last_rows and event.trial in self._created:
                yield from self._compete(self._created[event.trial])

    def _compete(self, trial: TrialCreated) -> Iterator[str]:
        """Compares a fully trained trial with the best of its cell so far, and yields the loser's checkpoint."""
        cell = trial.stage, trial.dataset, cell_key(trial.cell)
        rivals = {trial.trial, self._kept.get(cell, trial.trial)}
        opening = self._openings[trial.stage]
        in_order = sorted(rivals, key=lambda name: self._created[name].seq)
        values = ((name, getattr(self._last_rows[name], opening.metric)) for name in in_order)
        self._kept[cell] = kept = best(opening.mode, values) or trial.trial
        for name in rivals - {kept}:
            yield self._last_rows.pop(name).checkpoint["file"]

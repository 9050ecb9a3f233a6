"""What a run keeps of its trials' files: the states of those under training, and the model of the best in each cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from aesweep.run.callbacks.callback import Callback, Event
from aesweep.search.trial_spec import cell_key
from aesweep.storage.artifacts import Files
from aesweep.storage.run_folder import CHECKPOINTS, STATES, states_among


class Retention(Callback):
    """Removes what a trial leaves behind once it is of no more use.

    Args:
        files: the run's.
        events: the journal so far; what a kill kept from being removed goes now.
    """

    def __init__(self, files: Files, events: Iterable[Event]):
        self._files = files
        self._judged_by: dict[str, tuple[str, float]] = {}
        self._cells: dict[str, tuple[int, tuple[Any, ...]]] = {}  # with the number of trials created before
        self._trained: dict[str, tuple[float, int, str]] = {}
        self._best: dict[tuple[Any, ...], tuple[float, int, str]] = {}
        gone = {name for event in events for name in self._superseded(event)}
        for name in gone & {f"{CHECKPOINTS}/{name}" for name in files.names(CHECKPOINTS)} if gone else ():
            files.remove(name)

    def follow(self, event: Event) -> None:
        """Takes note of one event of the journal, which is recorded by now."""
        for name in self._superseded(event):
            self._files.remove(name)
        if event["kind"] == "trial_ended" and event["status"] != "interrupted":
            for _, name in states_among(self._files.names(STATES), event["trial"]):
                self._files.remove(f"{STATES}/{name}")

    def _superseded(self, event: Event) -> Iterator[str]:
        """The checkpoints of which nobody will ask any more: a better one is in the cell."""
        kind, trial = event["kind"], event.get("trial")
        if kind == "stage_started":
            self._judged_by[event["stage"]] = event["metric"], 1.0 if event["mode"] == "min" else -1.0
        elif kind == "trial_created":
            self._cells[trial] = len(self._cells), (event["stage"], event["dataset"], cell_key(event["cell"]))
        elif kind == "row" and event.get("checkpoint"):
            number, (stage, *_) = self._cells[trial]
            metric, sign = self._judged_by[stage]
            # Of equal ones the first that was created, as `aesweep.search.winners` has it.
            self._trained[trial] = sign * event[metric], number, event["checkpoint"]["file"]
        elif kind == "trial_ended" and trial in self._trained:
            found, (_, cell) = self._trained.pop(trial), self._cells[trial]
            earlier = self._best.get(cell, found)
            self._best[cell] = best = min(found, earlier)
            yield from {found[2], earlier[2]} - {best[2]}

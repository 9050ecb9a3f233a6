"""Our own search: the code that `aesweep run` uses, from a stage's slots to ASHA's decisions, on a state in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

from samplers.curve_tables import STAGE, TableDefinition, values_of
from samplers.replay import Values

from aesweep.search.recorder import Recorder
from aesweep.search.schedulers.asha import asha_of
from aesweep.search.stages import opening_events, segments
from aesweep.search.suggestions import SuggestedTrials
from aesweep.search.trial_queue import TrialQueue
from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.event import Event
from aesweep.storage.run_state import RunState
from aesweep.study.schema import Stage, Study


def our_study(
    definition: TableDefinition, settings: Mapping[str, Any], seed: int, with_cells: bool, budget: int
) -> Study:
    """Returns the study that searches a table.

    Args:
        definition: the table.
        settings: of the stage: its sampler, and what it stops.
        seed: the study's seed.
        with_cells: whether the axes of the cells are grids; else they are drawn as well, in a single cell.
        budget: epochs that are to be spent; there are samples for all of them, since each trial has one at least.
    """
    grids = definition.cells if with_cells else ()
    space = {axis.name: axis.as_grid() if axis in grids else axis.as_drawn() for axis in definition.axes}
    num_cells = 1
    for axis in grids:
        num_cells *= len(axis.values)
    stage = {"space": space, "samples": -(-budget // num_cells), **settings}
    if not with_cells:
        space["batch_size"] = {"grid": [definition.fixed["batch_size"]]}  # a table has rows, if only one
        stage["table"] = {"rows": "batch_size"}
    study = definition.study_with(stage)
    return study.model_copy(update={"seed": seed})


class OurSearch:
    """A stage's search as `aesweep.run.steps.Steps.search` sets it up, fed with recorded epochs.

    Attributes:
        state: what is recorded.
    """

    def __init__(self, study: Study, definition: TableDefinition):
        self._definition = definition
        self.state = RunState()
        parts = segments(study, self.state, STAGE)
        for event in opening_events(parts):
            self._record(event)
        specs = [spec for part in parts for spec in part.specs]
        ashas = {spec.rivals: asha_of(part.stage, spec.bracket) for part in parts for spec in part.specs}
        self._recorder = Recorder(self._record, study.stages[STAGE].metric, ashas, self.state.trials)
        self._specs: dict[Hashable, TrialSpec] = {}

        def begin(spec: TrialSpec, stage: Stage) -> TrialSpec:
            ashas.setdefault(spec.rivals, asha_of(stage, spec.bracket))
            self._recorder.open(spec)
            return spec

        suggestions = None
        if any(part.slots for part in parts):
            suggestions = SuggestedTrials(parts, self.state, self._record, begin, lambda: False)
        self._queue = TrialQueue([spec for spec in specs if self._recorder.open(spec)], suggestions)

    def ask(self) -> tuple[Hashable, Values] | None:
        spec = next(self._queue, None)
        if spec is None:
            return None
        self._specs[spec.trial] = spec
        return spec.trial, values_of(spec.configuration, self._definition)

    def tell(self, trial: Hashable, epoch: int, value: float) -> bool:
        return self._recorder.take(self._specs[trial], row_of(epoch, value), float(epoch))

    def fail(self, trial: Hashable, epoch: int) -> None:
        self._recorder.take(self._specs[trial], row_of(epoch, None), float(epoch))

    def _record(self, event: Event) -> None:
        seq = len(self.state.events)
        self.state.apply(dataclasses.replace(event, seq=seq, time=float(seq)))


def row_of(epoch: int, value: float | None) -> TrialRow:
    """Returns a row with a validation error; None where the trial diverged."""
    return TrialRow(
        epoch=epoch,
        loss=value,
        learning_rate=1.0,
        seconds=1.0,
        training_mse=value,
        diverged=value is None,
        validation_mse=value,
        validation_psnr_db=value,
        per_seed=[value],
    )

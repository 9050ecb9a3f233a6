"""Converts a run's state to the typed rows of the report; beyond combining what belongs together, computes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from aesweep.report.rows.types import Cell, Epoch, Retraining, Run, Stage, Trial
from aesweep.search.winners import best
from aesweep.storage.event import cell_key
from aesweep.storage.events import (
    CheckpointLost,
    Codes,
    Continued,
    Extended,
    Failure,
    ModelLost,
    Resumed,
    RetrainingAsked,
    RetrainingCreated,
    Row,
    RunEnded,
    RunStarted,
    StageStarted,
)
from aesweep.storage.run_state import RETRAINING, RunState, TrialState
from aesweep.study.configuration import Configuration

_INCIDENTS = (Failure, Continued, CheckpointLost, ModelLost)
_COMMANDS = (RunStarted, RetrainingAsked, Extended)  # what it takes to make the run again


def read_run(state: RunState) -> Run:
    """Returns the rows of a run."""
    start = state.start
    order = {id(event): place for place, event in enumerate(state.events) if isinstance(event, Row)}
    trials = {name: _trial(name, trial, order) for name, trial in state.trials.items()}
    stages = {
        # The last opening of a stage counts, since an extension may give it a longer budget.
        name: _stage(stage.openings[-1], trials, stage.seconds if stage.has_ended else None)
        for name, stage in state.stages.items()
        if stage.openings
    }
    retraining = state.stages.get(RETRAINING)
    ends = [event for event in state.events if isinstance(event, RunEnded)]
    resumptions = [event for event in state.events if isinstance(event, Resumed)]
    return Run(
        status=state.status,
        study=start.study if start else {},
        study_hash=start.study_hash if start else "",
        resources=state.resources or (start.study.get("resources", {}) if start else {}),
        commands=tuple(tuple(event.command) for event in state.commands if isinstance(event, _COMMANDS)),
        environment=start.environment if start else {},
        reference=start.reference if start else None,
        datasets=start.datasets if start else {},
        stages=stages,
        retrainings=_retrainings(state, trials, stages),
        baselines={
            key: {name: getattr(event, name) for name in ("mse", "psnr_db", "ssim")}
            for key, event in state.baselines.items()
        },
        pictures=tuple(state.pictures.values()),
        codes=tuple(event for event in state.events if isinstance(event, Codes)),
        incidents=tuple(event for event in state.events if isinstance(event, _INCIDENTS)),
        num_resumed=state.num_resumed,
        started_at=start.time if start else None,
        seconds=sum(event.seconds for event in ends) + sum(event.unrecorded_seconds or 0 for event in resumptions),
        retraining_seconds=retraining.seconds if retraining and retraining.has_ended else None,
    )


def _trial(name: str, state: TrialState, order: dict[int, int]) -> Trial:
    created = state.created
    is_retraining = isinstance(created, RetrainingCreated)
    return Trial(
        name=name,
        stage=None if is_retraining else created.stage,
        dataset=created.dataset,
        cell=() if is_retraining else cell_key(created.cell),
        configuration=Configuration.from_dict(created.configuration),
        seeds=(created.seed,) if is_retraining else tuple(created.seeds),
        budget=created.epochs,
        epochs=tuple(_epoch(row, order.get(id(row), 0)) for row in state.competing_rows),
        decisions=tuple(state.decisions),
        status=str(state.end.status) if state.end else ("unfinished" if state.rows else "waiting"),
        reason=state.end.reason if state.end else None,
        seconds=state.end.seconds if state.end else None,
        bracket=None if is_retraining else created.bracket,
        audit=tuple(_epoch(row, order.get(id(row), 0)) for row in state.rows[len(state.competing_rows) :]),
    )


def _epoch(row: Row, order: int) -> Epoch:
    return Epoch(
        epoch=row.epoch,
        loss=row.loss,
        training_mse=row.training_mse,
        validation_mse=row.validation_mse,
        validation_psnr_db=row.validation_psnr_db,
        seconds=row.seconds,
        per_seed=tuple(value for value in row.per_seed or () if value is not None),
        rate_nats=row.rate_nats,
        order=order,
    )


def _stage(opening: StageStarted, trials: dict[str, Trial], seconds: float | None) -> Stage:
    mine = tuple(trial for trial in trials.values() if trial.stage == opening.stage)
    return Stage(
        name=opening.stage,
        metric=opening.metric,
        mode=opening.mode,
        rows=opening.table["rows"],
        columns=opening.table.get("columns"),
        rungs=tuple(opening.rungs),
        epochs=opening.epochs,
        training_images=opening.training_images,
        validation_images=opening.validation_images,
        trials=mine,
        winners=_winners(mine, opening.metric, opening.mode),
        seconds=seconds,
    )


def _winners(trials: tuple[Trial, ...], metric: str, mode: str) -> dict[tuple[str, Cell], Trial | None]:
    """Returns the best fully trained trial of each cell, so that a stage that has not ended has provisional winners."""
    cells: dict[tuple[str, Cell], list[Trial]] = {}
    for trial in trials:
        cells.setdefault((trial.dataset, trial.cell), []).append(trial)
    return {
        cell: best(mode, ((trial, trial.value(metric)) for trial in mine if trial.status == "completed"))
        for cell, mine in cells.items()
    }


def _retrainings(state: RunState, trials: dict[str, Trial], stages: dict[str, Stage]) -> tuple[Retraining, ...]:
    """Returns all retrainings, each with the winners of today that it stands for.

    These are the winners to be retrained that have its configuration, whatever they were called when it was asked for:
    an extension gives a winner another trial, or puts another one in its place, which then has no retraining.
    """

    def serves(dataset: str, configuration: Configuration) -> Iterator[tuple[str, Cell, str]]:
        for stage in stages.values():
            which = state.start.study["stages"].get(stage.name, {}).get("retraining", {}).get("of", "winner")
            best_one = stage.best(dataset)
            for cell, winner in stage.cells(dataset).items():
                is_chosen = which == "cells" or (which == "winner" and winner is best_one)
                if winner is not None and is_chosen and winner.configuration == configuration:
                    yield stage.name, cell, winner.name

    def retraining(name: str, known: TrialState) -> Retraining:
        found = tuple(serves(trials[name].dataset, trials[name].configuration))
        return Retraining(trials[name], known.created.num_images, found, known.result)

    return tuple(retraining(name, known) for name, known in state.of(RETRAINING).items())

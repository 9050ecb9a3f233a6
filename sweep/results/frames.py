"""The frames of a run: what `aesweep.report.analysis` computes, and the journal's events, a line for each.

A function here arranges columns; no number is computed a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from aesweep.report.analysis import account, audit
from aesweep.report.analysis.frames import cell_frame, seed_frame, trial_frame
from aesweep.report.rows.names import axis_value, cell_name
from aesweep.report.rows.types import Run, Trial
from aesweep.results.axes import axes_of
from aesweep.results.columns import setting_kind, typed
from aesweep.storage.run_state import RETRAINING, RunState
from aesweep.study.configuration import OPTION, settings_in_use

_ROW = (
    "epoch",
    "loss",
    "training_mse",
    "validation_mse",
    "validation_psnr_db",
    "learning_rate",
    "seconds",
    "rate_nats",
)
_DECISION = ("epoch", "action", "value", "cutoff", "num_compared")
_PLACE = ("trial", "stage", "dataset", "cell")
_OF_BASELINES = ("dataset", "split", "stage", "method", "latent_dim", "noise_variance")
_OF_CODES = (
    "dataset", "method", "latent_dim", "retraining", "probe_accuracy", "neighbour_accuracy", "num_fitted", "num_judged",
)  # fmt: skip


def trials_frame(state: RunState, run: Run) -> pd.DataFrame:
    """Returns a line per trial of the search: how it ended, its last numbers, its configuration."""
    frame = trial_frame(run)
    trials = _trials(run)
    winners = {winner.name for stage in run.stages.values() for winner in stage.winners.values() if winner}
    best = {
        stage.best(dataset).name for stage in run.stages.values() for dataset in stage.datasets if stage.best(dataset)
    }
    frame.insert(3, "cell", [cell_name(trials[name].cell) for name in frame["trial"]])
    frame.insert(4, "is_winner", frame["trial"].isin(winners))
    frame.insert(5, "is_best", frame["trial"].isin(best))
    frame.insert(frame.columns.get_loc("validation_psnr_db") + 1, "rate_nats", _values(trials, frame, "rate_nats"))
    return typed(_with_times(_with_models(frame, trials), state), setting_kinds(run))


def rows_frame(state: RunState, run: Run) -> pd.DataFrame:
    """Returns a line per epoch of each trial and retraining, in the journal's order, with the trial's configuration."""
    trials = _trials(run)
    fields = settings_in_use(trial.configuration for trial in trials.values())
    fields.remove("learning_rate")  # a row has its own, which the schedule gives
    about = {name: [*_place(trial), *_settings(trial, ["model", *fields])] for name, trial in trials.items()}
    events = sorted((row for known in state.trials.values() for row in known.rows), key=lambda row: row.seq)
    since = {name: known.audited_from for name, known in state.trials.items()}
    lines = [
        [
            *about[row.trial][:4],
            *(getattr(row, name) for name in _ROW),
            since[row.trial] is not None and row.epoch > since[row.trial],
            row.time,
            row.seq + 1,
            *about[row.trial][4:],
        ]
        for row in events
    ]
    columns = [*_PLACE, *_ROW, "is_audit", "time", "journal_line", "model", *fields]
    return typed(pd.DataFrame(lines, columns=columns), setting_kinds(run))


def decisions_frame(state: RunState, run: Run) -> pd.DataFrame:
    """Returns a line per decision of ASHA, in the journal's order."""
    trials = _trials(run)
    events = sorted((event for trial in trials.values() for event in trial.decisions), key=lambda event: event.seq)
    lines = [
        [*_place(trials[event.trial]), *(getattr(event, name) for name in _DECISION), event.time, event.seq + 1]
        for event in events
    ]
    return typed(pd.DataFrame(lines, columns=[*_PLACE, *_DECISION, "time", "journal_line"]))


def cells_frame(state: RunState, run: Run) -> pd.DataFrame:
    """Returns a line per cell of each stage's table, in the order of the report, with its winner and the baselines."""
    parts = []
    for stage in run.stages.values():
        for dataset in stage.datasets:
            frame = cell_frame(run, stage, dataset)
            # `rows` and `columns` repeat two axes, whose types differ from stage to stage.
            names = {_cell_id(cell, stage.rows, stage.columns): cell_name(cell) for cell in stage.cells(dataset)}
            cells = [names[key] for key in zip(frame["rows"], _absent(frame["columns"]), strict=True)]
            frame = frame.drop(columns=["rows", "columns"])
            for position, (name, values) in enumerate(
                [("stage", stage.name), ("dataset", dataset), ("cell", cells), ("metric", stage.metric)]
            ):
                frame.insert(position, name, values)
            frame.insert(4, "mode", stage.mode)
            parts.append(frame)
    if not parts:
        return typed(pd.DataFrame(columns=["stage", "dataset", "cell", "metric", "mode", "trial", "value", "is_best"]))
    return typed(_joined(parts), setting_kinds(run))


def winners_frame(state: RunState, run: Run) -> pd.DataFrame:
    """Returns the lines of the cells with a winner that counts: a stage's best, or each cell's if all are retrained."""
    cells = cells_frame(state, run)
    stages = run.study.get("stages", {})
    of_cells = {name for name, stage in stages.items() if stage.get("retraining", {}).get("of") == "cells"}
    counts = cells["trial"].notna() & (cells["is_best"] | cells["stage"].isin(of_cells))
    return cells[counts].reset_index(drop=True)


def retrainings_frame(state: RunState, run: Run) -> pd.DataFrame:
    """Returns a line per retraining: its seed, its test errors, its checkpoint and the winners that it stands for."""
    frame = seed_frame(run)
    results = {retraining.trial.name: retraining.result for retraining in run.retrainings}
    rates = [getattr(results[name], "test_rate_nats", None) for name in frame["trial"]]
    frame.insert(frame.columns.get_loc("test_ssim") + 1, "test_rate_nats", rates)
    trials = {retraining.trial.name: retraining.trial for retraining in run.retrainings}
    frame = frame.rename(columns={"epochs": "budget"})
    frame.insert(4, "epochs", [len(trials[name].epochs) for name in frame["trial"]])
    frame.insert(6, "seconds", [trials[name].seconds for name in frame["trial"]])
    return typed(_with_times(_with_models(frame, trials), state), setting_kinds(run))


def baselines_frame(state: RunState, run: Run) -> pd.DataFrame:
    """Returns a line per baseline and the images on which it was judged."""
    lines = [[*key, values["mse"], values["psnr_db"], values["ssim"]] for key, values in run.baselines.items()]
    return typed(pd.DataFrame(lines, columns=[*_OF_BASELINES, "mse", "psnr_db", "ssim"]))


def codes_frame(state: RunState, run: Run) -> pd.DataFrame:
    """Returns a line per kind of codes: how well their labels can be told from them."""
    lines = [[getattr(event, name) for name in _OF_CODES] for event in run.codes]
    return typed(pd.DataFrame(lines, columns=list(_OF_CODES)))


def account_frame(state: RunState, run: Run) -> pd.DataFrame:
    """Returns a line per stage and data set: what it cost, and how its trials ended."""
    frame = account.account_frame(run)
    return typed(frame.assign(stopped_at=frame["stopped_at"].map(account.stops_text)))


def failures_frame(state: RunState, run: Run) -> pd.DataFrame:
    """Returns a line per failure, also of those that were survived."""
    return typed(account.failure_frame(run))


def audit_frame(state: RunState, run: Run) -> pd.DataFrame:
    """Returns a line per stopped trial that was trained to its end out of competition."""
    return typed(audit.audit_frame(run))


FRAMES: dict[str, Callable[[RunState, Run], pd.DataFrame]] = {
    "trials": trials_frame,
    "rows": rows_frame,
    "decisions": decisions_frame,
    "cells": cells_frame,
    "winners": winners_frame,
    "retrainings": retrainings_frame,
    "baselines": baselines_frame,
    "codes": codes_frame,
    "account": account_frame,
    "failures": failures_frame,
    "audit": audit_frame,
}


def setting_kinds(run: Run) -> dict[str, str]:
    """Returns the kinds of the columns of families' settings: of all values in the study and in the run's trials.

    So a column has one type in all frames of a run, and as good as ever the same from its first trial on.
    """
    values: dict[str, list[Any]] = {}
    for stage in run.study.get("stages", {}):
        for name, axis in axes_of(run.study, stage).items():
            if name.startswith(OPTION):
                values.setdefault(name, []).extend(axis.values)
    for trial in _trials(run).values():
        for name, value in trial.configuration.options:
            values.setdefault(f"{OPTION}{name}", []).append(value)
    return {name: setting_kind(found) for name, found in values.items()}


def _trials(run: Run) -> dict[str, Trial]:
    """Returns trials and retrainings by name."""
    search = [trial for stage in run.stages.values() for trial in stage.trials]
    return {trial.name: trial for trial in [*search, *(retraining.trial for retraining in run.retrainings)]}


def _place(trial: Trial) -> list[Any]:
    return [trial.name, trial.stage or RETRAINING, trial.dataset, cell_name(trial.cell) or None]


def _settings(trial: Trial, names: Iterable[str]) -> list[Any]:
    values = ((name, trial.configuration.value_of(name)) for name in names)
    return [axis_value(name, value) if isinstance(value, tuple) else value for name, value in values]


def _values(trials: dict[str, Trial], frame: pd.DataFrame, metric: str) -> list[float | None]:
    return [trials[name].value(metric) for name in frame["trial"]]


def _with_models(frame: pd.DataFrame, trials: dict[str, Trial]) -> pd.DataFrame:
    """Adds the column `model` before those of what makes a model."""
    models = [trials[name].configuration.model for name in frame["trial"]]
    frame.insert(frame.columns.get_loc("hidden_layers"), "model", models)
    return frame


def _with_times(frame: pd.DataFrame, state: RunState) -> pd.DataFrame:
    """Adds when each trial was recorded, and when its end was."""
    known = [state.trials[name] for name in frame["trial"]]
    return frame.assign(
        created=[trial.created.time for trial in known],
        ended=[trial.end.time if trial.end else None for trial in known],
    )


def _cell_id(cell: Iterable[tuple[str, Any]], rows: str, columns: str | None) -> tuple[Any, Any]:
    values = dict(cell)
    return values[rows], values.get(columns) if columns else None


def _absent(values: pd.Series) -> list[Any]:
    return [None if value is None or value != value else value for value in values]


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Returns frames one below the other; a column that only some have keeps its place among its neighbours."""
    names: list[str] = []
    for frame in parts:
        place = 0
        for name in frame.columns:
            if name in names:
                place = names.index(name) + 1
            else:
                names.insert(place, name)
                place += 1
    lines = [line for frame in parts for line in frame.to_dict("records")]
    return pd.DataFrame(lines, columns=names)

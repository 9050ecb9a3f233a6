"""The data behind the page's interactive parts: every trial with its configuration, rows, decisions and journal lines.

Plain values, as compact as JSON is: what follows from another value is left out, and measured numbers are rounded to
`DIGITS` significant digits. `assets/store.js` is the reader. The data of a run that grows are made piece by piece.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from aesweep.report.rows.names import axis_name, axis_value, cell_name, dataset_name
from aesweep.report.rows.types import codes_key
from aesweep.search.winners import best
from aesweep.storage.event import TrialStatus, cell_key
from aesweep.storage.events import Codes, Row
from aesweep.storage.run_state import RETRAINING, RunState, TrialState
from aesweep.study.configuration import DERIVED, FIELDS, Configuration

DIGITS = 6
# A row's columns, with their headings on the page.
METRICS = {
    "loss": "Loss",
    "training_mse": "Training MSE",
    "validation_mse": "Validation MSE",
    "validation_psnr_db": "Validation PSNR (dB)",
    "rate_nats": "Rate (nats)",
    "seconds": "Seconds",
}
RESULTS = {
    "training_mse": "Training MSE",
    "test_mse": "Test MSE",
    "test_psnr_db": "Test PSNR (dB)",
    "test_ssim": "Test SSIM",
    "test_rate_nats": "Test rate (nats)",
}
_FIELDS = (*FIELDS, *DERIVED)


class Explorer:
    """Makes the page's data from the state of a run.

    Args:
        state: the run; it may grow, as long as `update` is called before the data are asked for.

    Attributes:
        numbers: each trial's position, by its name.
        baselines: each baseline's position, by its key.
    """

    def __init__(self, state: RunState):
        self.numbers: dict[str, int] = {}
        self.baselines: dict[tuple, int] = {}
        self._state = state
        self._num_events = 0
        self._lines: dict[str, dict[str, list[int]]] = {}  # by trial and kind of event, the journal's lines from 1
        self._changed_at: dict[str, int] = {}  # the number of the last event about each trial
        self._codes: list[Codes] = []
        # A configuration that is recorded leaves out fields that most studies do not know, see `Configuration.as_dict`.
        self._used: set[str] = set(DERIVED)
        self.update()

    def update(self) -> None:
        """Takes in the events that the state has received since the last call."""
        for event in self._state.events[self._num_events :]:
            trial = getattr(event, "trial", None) or getattr(event, "retraining", None)
            if trial is not None:
                self._lines.setdefault(trial, {}).setdefault(event.kind, []).append(event.seq + 1)
                self._changed_at[trial] = event.seq
            if isinstance(event, Codes):
                self._codes.append(event)
        self._num_events = len(self._state.events)
        for name, trial in self._state.trials.items():
            if name not in self.numbers:
                self.numbers[name] = len(self.numbers)
                self._used.update(trial.created.configuration)
        codes = [codes_key(e.dataset, e.method, e.latent_dim) for e in self._codes if e.retraining is None]
        for key in (*self._state.baselines, *codes):
            self.baselines.setdefault(key, len(self.baselines))

    def values(self, after: int = -1) -> dict[str, Any]:
        """Returns the data as plain values.

        Args:
            after: number of an event; trials that only it and earlier events are about are left out.
        """
        return {
            **self._head(),
            "trials": [
                [number, *self._trial(name, self._state.trials[name])]
                for name, number in self.numbers.items()
                if self._changed_at.get(name, 0) > after
            ],
        }

    def _head(self) -> dict[str, Any]:
        state = self._state
        return {
            "digits": DIGITS,
            "seq": len(state.events) - 1,
            "status": state.status,
            "time": state.events[-1].time if state.events else None,
            "metrics": list(METRICS.items()),
            "results": list(RESULTS.items()),
            "fields": [[name, axis_name(name)] for name in _FIELDS],
            "used": [name in self._used for name in _FIELDS],
            "derived": DERIVED,
            "datasets": {name: dataset_name(name) for name in (state.start.datasets if state.start else ())},
            "stages": {
                name: {
                    "metric": stage.openings[-1].metric,
                    "mode": stage.openings[-1].mode,
                    "rungs": stage.openings[-1].rungs,
                    "epochs": stage.openings[-1].epochs,
                }
                for name, stage in state.stages.items()
                if stage.openings
            },
            "retraining": RETRAINING,
            "winners": self._winners(),
            "baselines": self._baselines(),
        }

    def _winners(self) -> list[int]:
        """Returns the numbers of the best fully trained trial of each cell, as the report's tables have them."""
        cells: dict[tuple, list[str]] = {}
        for name, trial in self._state.trials.items():
            if trial.end and trial.end.status is TrialStatus.COMPLETED and trial.stage != RETRAINING:
                cells.setdefault((trial.stage, trial.created.dataset, cell_key(trial.created.cell)), []).append(name)
        found = []
        for (stage, _, _), names in cells.items():
            opening = self._state.stages[stage].openings[-1]
            rows = [(name, self._state.trials[name].row) for name in names]
            found.append(best(opening.mode, ((name, row and getattr(row, opening.metric)) for name, row in rows)))
        return [self.numbers[name] for name in found if name is not None]

    def _baselines(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [{} for _ in self.baselines]
        for key, event in self._state.baselines.items():
            found[self.baselines[key]] = {
                "method": event.method,
                "dataset": event.dataset,
                "split": event.split,
                "stage": event.stage,
                "latent_dim": event.latent_dim,
                "noise_variance": event.noise_variance,
                **{name: rounded(getattr(event, name)) for name in ("mse", "psnr_db", "ssim")},
                "line": event.seq + 1,
            }
        for event in self._codes:
            if event.retraining is None:
                found[self.baselines[codes_key(event.dataset, event.method, event.latent_dim)]] = {
                    "method": event.method,
                    "dataset": event.dataset,
                    "split": "test",
                    "stage": None,
                    "latent_dim": event.latent_dim,
                    "noise_variance": None,
                    "probe_accuracy": rounded(event.probe_accuracy),
                    "neighbour_accuracy": rounded(event.neighbour_accuracy),
                    "line": event.seq + 1,
                }
        return found

    def _trial(self, name: str, trial: TrialState) -> list[Any]:
        created, is_retraining = trial.created, trial.stage == RETRAINING
        # What was trained out of competition is the report's to tell.
        rows, end, result = trial.competing_rows, trial.end, trial.result
        last = rows[-1] if rows else None
        return [
            name,
            trial.stage,
            created.dataset,
            str(end.status) if end else "unfinished" if trial.rows else "waiting",
            end.reason if end else None,
            [created.seed] if is_retraining else list(created.seeds),
            created.epochs,
            rounded(end.seconds) if end else None,
            "" if is_retraining else cell_name(cell_key(created.cell)),
            _configuration(created.configuration),
            _rows(rows),
            [[d.epoch, str(d.action), rounded(d.value), rounded(d.cutoff), d.num_compared] for d in trial.decisions],
            [rounded(value) for value in last.per_seed] if last and len(last.per_seed or ()) > 1 else None,
            [rounded(getattr(result, field)) for field in RESULTS] if result else None,
            list(_checkpoint(trial.checkpoint)) if trial.checkpoint else None,
            self._lines.get(name, {}),
            created.num_images if is_retraining else None,
        ]


def _checkpoint(checkpoint: Any) -> tuple[Any, ...]:
    return checkpoint.get("file"), checkpoint.get("sha256"), checkpoint.get("num_bytes")


def _rows(rows: Sequence[Row]) -> list[Any]:
    """Returns the first epoch, then a list for each of `METRICS`; None for one that was never measured.

    A trial's epochs have no gap, so the first says all.
    """
    columns = [[rounded(getattr(row, metric)) for row in rows] for metric in METRICS]
    return [
        rows[0].epoch if rows else 1,
        *(column if any(value is not None for value in column) else None for column in columns),
    ]


def _configuration(values: dict[str, Any]) -> list[Any]:
    """Returns a configuration's fields, numbers as numbers and anything else as text."""
    configuration = Configuration.from_dict(values)
    return [
        value if isinstance(value, int) else rounded(value) if isinstance(value, float) else axis_value(name, value)
        for name, value in ((name, getattr(configuration, name)) for name in _FIELDS)
    ]


def rounded(value: float | None) -> float | int | None:
    """Returns a number with `DIGITS` significant digits, as the shortest JSON that says it; None if not finite."""
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short

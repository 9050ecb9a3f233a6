"""A trial or a retraining as exporters take it: its settings, its rows and its results, as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from aesweep.results import LoadedRun
from aesweep.results.columns import column, configuration_columns

METRICS = ("loss", "training_mse", "validation_mse", "validation_psnr_db", "rate_nats", "learning_rate", "seconds")
RESULTS = ("test_mse", "test_psnr_db", "test_ssim", "test_rate_nats")
RETRAINING = "retraining"
ENDED = ("completed", "stopped", "audited", "diverged", "failed")


@dataclasses.dataclass(frozen=True)
class Row:
    """An epoch.

    Attributes:
        epoch: from 1.
        time_s: when it was recorded, unix seconds.
        metrics: those of `METRICS` that have a value.
    """

    epoch: int
    time_s: float
    metrics: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class TrialRecord:
    """A trial or a retraining.

    Attributes:
        name: unique in the run.
        stage: its stage; `RETRAINING` for a retraining.
        cell: its cell in words; empty for a retraining.
        status: as the frame `trials` has it.
        seeds: with a space between them.
        settings: the fields of its configuration, and each setting of a package's family as "options.<setting>".
        rows: its epochs, without those that it trained out of competition.
        results: those of `RESULTS` that it has; of a retraining alone.
        created_s: when it was recorded, unix seconds.
        started_s: when its first epoch began, as far as rows tell.
        ended_s: when its end was recorded; None without an end.
    """

    name: str
    stage: str
    dataset: str
    cell: str
    status: str
    reason: str | None
    seeds: str
    settings: Mapping[str, Any]
    rows: tuple[Row, ...]
    results: Mapping[str, float]
    created_s: float
    started_s: float
    ended_s: float | None

    @property
    def has_ended(self) -> bool:
        """Whether it has ended for good."""
        return self.status in ENDED


def trial_records(run: LoadedRun) -> Iterator[TrialRecord]:
    """Yields the trials of a run, then its retrainings, in the order of their creation."""
    rows = _rows(run.rows)
    for frame in (run.trials, run.retrainings):
        names = configuration_columns(frame)
        for line in _lines(frame):
            mine = rows.get(line["trial"], [])
            first = mine[0] if mine else None
            yield TrialRecord(
                name=line["trial"],
                stage=line.get("stage", RETRAINING),
                dataset=line["dataset"],
                cell=line.get("cell") or "",
                status=line["status"],
                reason=line.get("reason"),
                seeds=str(line.get("seeds", line.get("seed"))),
                settings={name: line[name] for name in names if line[name] is not None},
                rows=tuple(mine),
                results={name: line[name] for name in RESULTS if line.get(name) is not None},
                created_s=line["created"],
                started_s=first.time_s - first.metrics.get("seconds", 0.0) if first else line["created"],
                ended_s=line["ended"],
            )


def _rows(frame: pd.DataFrame) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for line in _lines(frame.loc[~frame["is_audit"], ["trial", "epoch", "time", *METRICS]]):
        metrics = {name: line[name] for name in METRICS if line[name] is not None}
        found.setdefault(line["trial"], []).append(Row(line["epoch"], line["time"], metrics))
    return found


def _lines(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yields the lines of a frame as Python's own values, with times as unix seconds and None for what is missing."""
    columns = [_values(frame[name], column(name).kind) for name in frame.columns]
    for values in zip(*columns, strict=True):
        yield dict(zip(frame.columns, values, strict=True))


def _values(values: pd.Series, kind: str) -> list[Any]:
    known = values.notna().tolist()
    plain = [number / 1e6 for number in values.astype("int64").tolist()] if kind == "time" else values.tolist()
    return [value if there else None for value, there in zip(plain, known, strict=True)]

"""The account of the search: what it cost, and how every trial ended."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd

from aesweep.report.rows.types import Run, Trial
from aesweep.storage.event import Event
from aesweep.storage.events import CheckpointLost, Continued, Failure, ModelLost

STATUSES = ("completed", "stopped", "audited", "diverged", "failed", "interrupted", "unfinished", "waiting")
ACCOUNT_COLUMNS = [
    "stage", "dataset", "trials", *STATUSES, "stopped_at", "epochs_trained", "epochs_full", "worker_seconds",
    "core_hours", "gpu_hours",
]  # fmt: skip


def account_frame(run: Run) -> pd.DataFrame:
    """Returns one line per stage and data set, then one per data set's retraining.

    Columns: stage, dataset, trials, one per status, `stopped_at` (rung to number of trials stopped there),
    epochs_trained, epochs_full (if every trial had been trained to its end), worker_seconds (the time that trials held
    a worker), core_hours and gpu_hours (by the resources that a trial holds, those of the last session that trained).
    """
    groups = [
        (stage.name, dataset, [trial for trial in stage.trials if trial.dataset == dataset])
        for stage in run.stages.values()
        for dataset in stage.datasets
    ]
    retrained = [retraining.trial for retraining in run.retrainings]
    groups += [
        ("retraining", dataset, [trial for trial in retrained if trial.dataset == dataset])
        for dataset in dict.fromkeys(trial.dataset for trial in retrained)
    ]
    resources = run.resources
    # With trainers, a trial's seconds are its share of its trainer's time.
    gpus = resources.get("gpus_per_trainer" if resources.get("trainers") else "gpus_per_trial", 0)
    lines = []
    for stage, dataset, trials in groups:
        statuses = Counter(trial.status for trial in trials)
        seconds = sum(worker_seconds(trial) for trial in trials)
        lines.append(
            {
                "stage": stage,
                "dataset": dataset,
                "trials": len(trials),
                **{status: statuses[status] for status in STATUSES},
                "stopped_at": stopped_at(trials),
                "epochs_trained": sum(len(trial.epochs) + len(trial.audit) for trial in trials),
                "epochs_full": sum(trial.budget for trial in trials),
                "worker_seconds": seconds,
                "core_hours": seconds / 3600,
                "gpu_hours": seconds / 3600 * gpus,
            }
        )
    return pd.DataFrame(lines, columns=ACCOUNT_COLUMNS)


def stopped_at(trials: list[Trial]) -> dict[int, int]:
    """Returns how many trials were stopped early, by the epoch at which they were stopped."""
    counts = Counter(trial.stopped_at for trial in trials if trial.stopped_at is not None)
    return dict(sorted(counts.items()))


def stops_text(stops: dict[int, int]) -> str:
    """Formats the result of `stopped_at` for the CSV file: 3:6 9:5."""
    return " ".join(f"{rung}:{count}" for rung, count in stops.items())


def worker_seconds(trial: Trial) -> float:
    """Returns how long a trial held its worker; if its end is not recorded, how long its epochs trained."""
    if trial.seconds is not None:
        return trial.seconds
    return sum(epoch.seconds or 0.0 for epoch in (*trial.epochs, *trial.audit))


def failure_frame(run: Run) -> pd.DataFrame:
    """Returns one line per trial or retraining that diverged, failed or was interrupted, and one per survived incident.

    An incident is an attempt that was followed by another, a damaged state that was passed over, a checkpoint that was
    trained again, or a model of a search's winner that is lost for good. A trial's incidents come before its own line.
    """
    trials = [trial for stage in run.stages.values() for trial in stage.trials]
    trials += [retraining.trial for retraining in run.retrainings]
    lines: list[dict[str, Any]] = []
    for trial in trials:
        found = [incident for incident in run.incidents if incident.trial == trial.name]
        shown = [line for incident in found for line in _incident(trial, incident)]
        if trial.status in ("diverged", "failed", "interrupted"):
            shown.append((trial.status, len(trial.epochs), trial.reason))
        place = {"trial": trial.name, "stage": trial.stage or "retraining", "dataset": trial.dataset}
        lines += [{**place, "status": status, "epochs": epochs, "reason": reason} for status, epochs, reason in shown]
    return pd.DataFrame(lines, columns=["trial", "stage", "dataset", "status", "epochs", "reason"])


def _incident(trial: Trial, event: Event) -> list[tuple[str, int, str]]:
    """Returns status, epochs and reason of each line of the failure table for an event."""
    match event:
        case Continued():
            return [("state passed over", event.epoch, reason) for reason in event.rejected]
        case CheckpointLost():
            return [("checkpoint lost, trained again", len(trial.epochs), event.reason)]
        case ModelLost():
            return [("model lost, its numbers stand", len(trial.epochs), event.reason)]
        case Failure() if event.retried:  # the last attempt is the trial's own line
            return [(f"{event.cause}, repeated", event.epoch, event.reason)]
    return []

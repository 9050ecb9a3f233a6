"""What a run was made of as markdown tables: configurations, the account of the search, the ledger of failures."""

from __future__ import annotations

import pandas as pd

from aesweep.configuration import FIELDS
from aesweep.report.account import STATUSES
from aesweep.report.markdown import MISSING, axis_name, code, dataset_name, drawn_value, hours, inert, percent, table
from aesweep.report.rows import Trial

# These statuses have a column even where no trial ended so.
ALWAYS_SHOWN = ("completed", "stopped", "diverged", "failed")


def configurations_markdown(winners: list[tuple[str, Trial]]) -> str:
    """Every field of the winners' configurations, a column each."""
    headings = ["", *(inert(label) for label, _ in winners)]
    rows = [[axis_name(field), *(inert(_field(trial, field)) for _, trial in winners)] for field in FIELDS]
    rows.append(["Trial", *(code(trial.name) for _, trial in winners)])
    return table(headings, rows, num_labels=len(headings)) if winners else ""


def _field(trial: Trial, field: str) -> str:
    return drawn_value(field, getattr(trial.configuration, field))


def account_markdown(frame: pd.DataFrame) -> str:
    """What became of the trials, and what they cost; with a last row for everything."""
    if frame.empty:
        return ""
    statuses = [status for status in STATUSES if frame[status].any() or status in ALWAYS_SHOWN]
    has_gpu = bool(frame["gpu_hours"].any())
    headings = ["Stage", "Data set", "Trials", *(status.capitalize() for status in statuses), "Stopped at"]
    headings += ["Epochs trained", "Full search", "Share", "Core hours"] + (["GPU hours"] if has_gpu else [])
    rows = []
    for _, line in frame.iterrows():
        stops = ", ".join(f"{rung}: {count}" for rung, count in line["stopped_at"].items()) or MISSING
        labels = [inert(line["stage"]), inert(dataset_name(line["dataset"]))]
        rows.append(labels + _account(line, statuses, stops, has_gpu))
    total = frame.drop(columns=["stage", "dataset", "stopped_at"]).sum()
    rows.append(["**All**", "", *_account(total, statuses, "", has_gpu)])
    return table(headings, rows, num_labels=2)


def _account(line: pd.Series, statuses: list[str], stops: str, has_gpu: bool) -> list[str]:
    share = line["epochs_trained"] / line["epochs_full"] if line["epochs_full"] else None
    return [
        f"{int(line['trials']):,}",
        *(f"{int(line[status]):,}" for status in statuses),
        stops,
        f"{int(line['epochs_trained']):,}",
        f"{int(line['epochs_full']):,}",
        percent(share),
        hours(line["core_hours"]),
        *([hours(line["gpu_hours"])] if has_gpu else []),
    ]


def failures_markdown(frame: pd.DataFrame) -> str:
    """The ledger of what ended badly; empty where nothing did."""
    rows = [
        [
            code(line["trial"]),
            inert(line["stage"]),
            inert(dataset_name(line["dataset"])),
            inert(line["status"]),
            str(line["epochs"]),
            code(line["reason"] or ""),
        ]
        for _, line in frame.iterrows()
    ]
    return table(["Trial", "Stage", "Data set", "Ended", "Epochs", "Reason"], rows, num_labels=6)

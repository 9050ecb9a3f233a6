"""How a run ended, from its journal's events."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: "completed", "interrupted" or "failed".
        signal_number: which interrupted it; None where none did.
        missing: cells and retrainings that were left without a result, which makes a run "failed".
        failed_trials: trials of the search that failed in spite of all attempts. Where others of their cell did not,
            there is a winner, chosen from fewer.
    """

    status: str
    signal_number: int | None
    missing: list[str]
    failed_trials: list[str] = dataclasses.field(default_factory=list)


def outcome_of(events: list[dict[str, Any]], signal_number: int | None) -> Outcome:
    """The outcome of a run that did all it could, or that a signal interrupted."""
    if signal_number is not None:
        return Outcome("interrupted", signal_number, [])
    winners = {
        f"{event['stage']}, {event['dataset']}, "
        + ", ".join(f"{axis} {value}" for axis, value in event["cell"].items()): event["trial"]
        for event in events
        if event["kind"] == "cell_winner"
    }
    empty = [cell for cell, trial in winners.items() if trial is None]
    owed = {event["trial"] for event in events if event["kind"] == "retraining_created"}
    done = {event["trial"] for event in events if event["kind"] == "retrained"}
    ends = {event["trial"]: event["status"] for event in events if event["kind"] == "trial_ended"}
    failed = [trial for trial, status in ends.items() if status == "failed" and trial not in owed]
    missing = empty + sorted(owed - done)
    return Outcome("failed" if missing else "completed", None, missing, failed)

"""How a run ended, from its journal's events."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended: "completed", "interrupted" (by which signal) or "failed" (what was left without a result)."""

    status: str
    signal_number: int | None
    missing: list[str]


def outcome_of(events: list[dict[str, Any]], signal_number: int | None) -> Outcome:
    """The outcome of a run that did all it could, or that a signal interrupted."""
    if signal_number is not None:
        return Outcome("interrupted", signal_number, [])
    empty = [
        f"{event['stage']}, {event['dataset']}, "
        + ", ".join(f"{axis} {value}" for axis, value in event["cell"].items())
        for event in events
        if event["kind"] == "cell_winner" and event["trial"] is None
    ]
    owed = {event["trial"] for event in events if event["kind"] == "retraining_created"}
    done = {event["trial"] for event in events if event["kind"] == "retrained"}
    return Outcome("failed" if empty or owed - done else "completed", None, empty + sorted(owed - done))

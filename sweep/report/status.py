"""How a run stands, from its journal alone: for people as a table, for scripts as plain values."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tabulate import tabulate

from aesweep.process.wording import plural
from aesweep.report.rows.reader import run_state
from aesweep.search.stages import has_ended


def run_status(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Plain values: the run's state, and for each stage, also those to come, its trials by state and its winners.

    A trial's state is the status that it ended with; without an end, "unfinished" where it has rows (it is being
    trained, or its run was killed) and "waiting" where it has none.

    Args:
        events: the journal's events, in order.
    """
    start = next((event for event in events if event["kind"] == "run_started"), None)
    created = {e["trial"]: e.get("stage", "retraining") for e in events if e["kind"].endswith("_created")}
    state = dict.fromkeys(created, "waiting")
    epochs: Counter[str] = Counter()
    for event in events:
        if event["kind"] == "row":
            state[event["trial"]] = "unfinished"
            epochs[created[event["trial"]]] += 1
        elif event["kind"] == "trial_ended":
            state[event["trial"]] = event["status"]
    winners: dict[str, dict[str, dict[str, Any]]] = {}
    for event in events:
        if event["kind"] == "stage_winner":
            winner = {name: event[name] for name in ("dataset", "cell", "trial", "value")}
            winners.setdefault(event["stage"], {})[event["dataset"]] = winner
    planned = start["study"].get("stages", {}) if start else {}
    is_retrained = any(stage.get("retraining", {}).get("of") != "none" for stage in planned.values())
    begun = dict.fromkeys(created.values())
    names = dict.fromkeys([*planned, *begun, *(["retraining"] if is_retrained else [])])
    ended = {stage for stage in names if has_ended(events, stage)}
    return {
        "study": start["study"]["name"] if start else None,
        "status": run_state(events),
        "last_event_time": events[-1]["time"] if events else None,
        "stages": [
            {
                "stage": stage,
                "begun": stage in begun,
                "ended": stage in ended,
                "trials": dict(sorted(Counter(state[t] for t in created if created[t] == stage).items())),
                "epochs_trained": epochs[stage],
                "winners": list(winners.get(stage, {}).values()),
            }
            for stage in names
        ],
        "failures": [
            {"trial": event["trial"], "status": event["status"], "reason": event["reason"]}
            for event in events
            if event["kind"] == "trial_ended" and event["status"] in ("failed", "diverged")
        ],
        "models_lost": [event["trial"] for event in events if event["kind"] == "model_lost"],
        "attempts_repeated": dict(Counter(e["cause"] for e in events if e["kind"] == "failure" and e["retried"])),
        "times_resumed": sum(event["kind"] == "resumed" for event in events),
    }


def status_text(values: dict[str, Any]) -> str:
    """What `run_status` found, for people."""
    rows = [
        (
            stage["stage"],
            "ended" if stage["ended"] else "open" if stage["begun"] else "to come",
            ", ".join(f"{count} {state}" for state, count in stage["trials"].items()),
            stage["epochs_trained"],
            "; ".join(f"{w['dataset']}: {w['trial']} ({w['value']:.5g})" for w in stage["winners"]),
        )
        for stage in values["stages"]
    ]
    table = tabulate(rows, ["stage", "state", "trials", "epochs", "winner"], tablefmt="github")
    failures = [f"{failure['trial']} {failure['status']}: {failure['reason']}" for failure in values["failures"]]
    repeated = ", ".join(f"{count} {cause}" for cause, count in values["attempts_repeated"].items())
    counts = [f"resumed {plural(values['times_resumed'], 'time')}"] if values["times_resumed"] else []
    counts += [f"attempts that failed and were repeated: {repeated}"] if repeated else []
    lost = ", ".join(values["models_lost"])
    counts += [f"models lost for good, what they reached is recorded: {lost}"] if lost else []
    return "\n".join([f"{values['study']}: {values['status']}", "", table, "", *counts, *failures]).rstrip()

"""The status of a run, from its journal alone: as a table for people, as plain values for scripts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tabulate import tabulate

from aesweep.process.wording import plural
from aesweep.storage.event import TrialStatus
from aesweep.storage.events import Failure, ModelLost, TrialEnded
from aesweep.storage.run_state import RETRAINING, RunState, StageState


def run_status(state: RunState) -> dict[str, Any]:
    """Returns the run's status as plain values, with the trials by state and the winners of each stage, begun or not.

    A trial's state is the status that it ended with. Without an end, it is "unfinished" if the trial has rows (it is
    being trained, or its run was killed) and "waiting" if it has none.
    """
    planned = state.start.study.get("stages", {}) if state.start else {}
    is_retrained = any(stage.get("retraining", {}).get("of") != "none" for stage in planned.values())
    begun = {trial.stage for trial in state.trials.values()}
    others = [name for name in state.stages if name not in planned and name in begun and name != RETRAINING]
    last = [RETRAINING] if is_retrained or RETRAINING in begun else []
    ends = [event for event in state.events if isinstance(event, TrialEnded)]
    failures = Counter(e.cause for e in state.events if isinstance(e, Failure) and e.retried)
    return {
        "study": state.start.study["name"] if state.start else None,
        "status": state.status,
        "last_event_time": state.events[-1].time if state.events else None,
        "stages": [_stage_status(state, name) for name in [*planned, *others, *last]],
        "failures": [
            {"trial": event.trial, "status": event.status, "reason": event.reason}
            for event in ends
            if event.status in (TrialStatus.FAILED, TrialStatus.DIVERGED)
        ],
        "models_lost": [event.trial for event in state.events if isinstance(event, ModelLost)],
        "attempts_repeated": dict(failures),
        "times_resumed": state.num_resumed,
    }


def _stage_status(state: RunState, name: str) -> dict[str, Any]:
    trials = state.of(name).values()
    stage = state.stages.get(name) or StageState()
    states = Counter(trial.end.status if trial.end else "unfinished" if trial.rows else "waiting" for trial in trials)
    if stage.openings and not stage.has_ended:
        # A sampler that learns makes a trial only once there is room for it.
        states["waiting"] += max(0, (stage.openings[-1].num_trials or 0) - len(trials))
    return {
        "stage": name,
        "begun": bool(trials),
        "ended": stage.has_ended,
        "trials": {str(status): count for status, count in sorted(states.items()) if count},
        "epochs_trained": sum(len(trial.rows) for trial in trials),
        "winners": [
            {"dataset": event.dataset, "cell": event.cell, "trial": event.trial, "value": event.value}
            for event in stage.winners.values()
        ],
    }


def status_text(values: dict[str, Any]) -> str:
    """Formats the values that `run_status` returns for people."""
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

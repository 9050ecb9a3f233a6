"""The journal's events as typed rows; nothing is computed beyond putting together what belongs together."""

from __future__ import annotations

import dataclasses
from typing import Any

from aesweep.report.rows.types import Cell, Epoch, Retraining, Run, Stage, Trial
from aesweep.study.configuration import Configuration

_SESSION = ("run_ended", "resumed")
_INCIDENTS = ("failure", "continued", "checkpoint_lost", "model_lost")
_COMMANDS = ("run_started", "retraining_asked", "extended")  # what it takes to make the run again


def read_run(events: list[dict[str, Any]]) -> Run:
    """A run's rows from the events of its journal, in order."""
    start = next((event for event in events if event["kind"] == "run_started"), None)
    trials = _trials(events)
    ended = _seconds(events)
    # The last word on a stage counts: an extension may give it a longer budget.
    openings = {e["stage"]: e for e in events if e["kind"] in ("stage_started", "stage_extended")}
    stages = {name: _stage(event, trials, ended) for name, event in openings.items()}
    baselines = {}
    for event in events:
        if event["kind"] == "baseline":
            names = ("dataset", "split", "stage", "method", "latent_dim", "noise_variance")
            baselines[tuple(event[name] for name in names)] = {
                name: event.get(name) for name in ("mse", "psnr_db", "ssim")
            }
    pictures = {(e["dataset"], e["stage"], e["purpose"]): e for e in events if e["kind"] == "pictures"}
    return Run(
        status=run_state(events),
        study=start["study"] if start else {},
        study_hash=start["study_hash"] if start else "",
        commands=tuple(tuple(e["command"]) for e in events if e["kind"] in _COMMANDS),
        environment=start["environment"] if start else {},
        reference=start.get("reference") if start else None,
        datasets=start["datasets"] if start else {},
        stages=stages,
        retrainings=_retrainings(events, trials, stages, start["study"] if start else {}),
        baselines=baselines,
        pictures=tuple(pictures.values()),
        incidents=tuple(event for event in events if event["kind"] in _INCIDENTS),
        num_resumed=sum(event["kind"] == "resumed" for event in events),
        started_at=start["time"] if start else None,
        seconds=sum(e.get("seconds", 0) + e.get("unrecorded_seconds", 0) for e in events if e["kind"] in _SESSION),
        retraining_seconds=ended.get("retraining"),
    )


def run_state(events: list[dict[str, Any]]) -> str:
    """The status that a run ended with: "completed", "interrupted" or "failed". Else:

    "empty" where no start is recorded, "unfinished" where no end is, "open" where something follows the last end, as
    when it is resumed or winners are retrained later.
    """
    ends = [event for event in events if event["kind"] == "run_ended"]
    if not ends:
        return "unfinished" if any(event["kind"] == "run_started" for event in events) else "empty"
    return ends[-1]["status"] if events[-1]["kind"] == "run_ended" else "open"


def _trials(events: list[dict[str, Any]]) -> dict[str, Trial]:
    created = {e["trial"]: e for e in events if e["kind"] in ("trial_created", "retraining_created")}
    rows: dict[str, dict[int, Epoch]] = {name: {} for name in created}
    decisions: dict[str, list[dict[str, Any]]] = {name: [] for name in created}
    ends: dict[str, dict[str, Any]] = {}
    numbers = [field.name for field in dataclasses.fields(Epoch) if field.name not in ("epoch", "per_seed")]
    for event in events:
        name = event.get("trial")
        if event["kind"] == "row":
            per_seed = tuple(value for value in event.get("per_seed") or () if value is not None)
            values = {number: event.get(number) for number in numbers}
            ends.pop(name, None)  # an interrupted trial that goes on
            rows[name][event["epoch"]] = Epoch(epoch=event["epoch"], per_seed=per_seed, **values)
        elif event["kind"] == "decision":
            decisions[name].append(event)
        elif event["kind"] == "trial_ended":
            ends[name] = event
    return {
        name: Trial(
            name=name,
            stage=event.get("stage"),
            dataset=event["dataset"],
            cell=read_cell(event.get("cell", {})),
            configuration=Configuration.from_dict(event["configuration"]),
            seeds=tuple(event["seeds"]) if "seeds" in event else (event["seed"],),
            budget=event["epochs"],
            epochs=tuple(rows[name][epoch] for epoch in sorted(rows[name])),
            decisions=tuple(decisions[name]),
            status=ends[name]["status"] if name in ends else ("unfinished" if rows[name] else "waiting"),
            reason=ends[name]["reason"] if name in ends else None,
            seconds=ends[name]["seconds"] if name in ends else None,
        )
        for name, event in created.items()
    }


def _stage(start: dict[str, Any], trials: dict[str, Trial], ended: dict[str, float]) -> Stage:
    name = start["stage"]
    mine = tuple(trial for trial in trials.values() if trial.stage == name)
    return Stage(
        name=name,
        metric=start["metric"],
        mode=start["mode"],
        rows=start["table"]["rows"],
        columns=start["table"].get("columns"),
        rungs=tuple(start["rungs"]),
        epochs=start["epochs"],
        training_images=start["training_images"],
        validation_images=start["validation_images"],
        trials=mine,
        winners=_winners(mine, start["metric"], start["mode"]),
        seconds=ended.get(name),
    )


def _winners(trials: tuple[Trial, ...], metric: str, mode: str) -> dict[tuple[str, Cell], Trial | None]:
    """The best fully trained trial of each cell by the metric of its last epoch, the first of equals.

    The rule by which the run chose them too, so that a stage that has not ended has provisional winners.
    """
    sign = 1.0 if mode == "min" else -1.0
    best: dict[tuple[str, Cell], Trial | None] = {}
    for trial in trials:
        leader = best.setdefault((trial.dataset, trial.cell), None)
        value = trial.value(metric) if trial.status == "completed" else None
        if value is not None and (leader is None or sign * value < sign * leader.value(metric)):
            best[trial.dataset, trial.cell] = trial
    return best


def read_cell(values: dict[str, Any]) -> Cell:
    """A cell as a journal holds it: axis to value."""
    return tuple((axis, tuple(value) if isinstance(value, list) else value) for axis, value in values.items())


def _retrainings(
    events: list[dict[str, Any]], trials: dict[str, Trial], stages: dict[str, Stage], study: dict[str, Any]
) -> tuple[Retraining, ...]:
    """All of them; one whose winner has since been beaten, as an extension may bring, stands for nothing any more."""

    def still_wins(dataset: str, stage: str, cell: Cell, trial: str) -> bool:
        winner = stages[stage].winners.get((dataset, cell))
        settings = study["stages"][stage].get("retraining", {})
        if settings.get("of", "winner") == "winner":
            winner = stages[stage].best(dataset)
        return winner is not None and winner.name == trial

    results = {event["trial"]: event for event in events if event["kind"] == "retrained"}
    found = {}
    for event in events:
        if event["kind"] == "retraining_created":
            serves = [(s["stage"], read_cell(s["cell"]), s["trial"]) for s in event["serves"]]
            serves = tuple(winner for winner in serves if still_wins(event["dataset"], *winner))
            name = event["trial"]
            found[name] = Retraining(trials[name], event["num_images"], serves, results.get(name))
    return tuple(found.values())


def _seconds(events: list[dict[str, Any]]) -> dict[str, float]:
    """Wall time of the stages, and of the retraining, that have ended: of all the times that they did, if several."""
    found: dict[str, float] = {}
    is_open = {}
    for event in events:
        if event["kind"] == "extended":
            is_open |= dict.fromkeys(event["stages"], True)  # also those that have not been taken up yet
        elif event["kind"] == "stage_ended":
            is_open[event["stage"]] = False
            found[event["stage"]] = found.get(event["stage"], 0.0) + event["seconds"]
    return {stage: seconds for stage, seconds in found.items() if not is_open[stage]}

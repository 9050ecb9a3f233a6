"""What must hold of a journal, whatever happened to the run: derived here from the study and the rows alone.

Shares no code with the scheduler, the winners or the resuming, so that a fault of theirs is not repeated here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tests.chaos.decision_rules import decision_faults

Event = dict[str, Any]
# What a configuration says of fields that it leaves out.
PLAIN = {"family": "dense", "code": "plain", "likelihood": "gaussian", "beta": 1.0}


def violations(
    events: list[Event], study: dict[str, Any], expected_rows: Callable[[Event], list[Event]] | None = None
) -> list[str]:
    """Everything in a finished run's journal that should not be.

    Args:
        events: the journal.
        study: with every default filled in.
        expected_rows: gives what a trial's epochs measure where nothing disturbs it; None not to compare.
    """
    found = [*_order(events), *_trials(events, study), *_suggestions(events, study)]
    found += [*decision_faults(events, study), *_winners(events, study)]
    if expected_rows:
        found += _values(events, expected_rows)
    return found


def _of(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["kind"] == kind]


def _order(events: list[Event]) -> Iterator[str]:
    if [event["seq"] for event in events] != list(range(len(events))):
        yield "the events' numbers have a gap or a double"
    if events[0]["kind"] != "run_started" or len(_of(events, "run_started")) != 1:
        yield "the run does not start once"
    if events[-1]["kind"] != "run_ended" or events[-1]["status"] != "completed":
        yield f"the run ends with {events[-1]['kind']} {events[-1].get('status')}"


def _trials(events: list[Event], study: dict[str, Any]) -> Iterator[str]:
    created = [event["trial"] for event in events if event["kind"] in ("trial_created", "retraining_created")]
    for trial, count in Counter(created).items():
        if count > 1:
            yield f"{trial} was created {count} times"
    for event in _of(events, "trial_created"):
        stage = study["stages"][event["stage"]]
        if event["seeds"] != [study["seed"] + k for k in range(stage["seeds"])] or event["epochs"] != stage["epochs"]:
            yield f"{event['trial']} has the seeds {event['seeds']} and {event['epochs']} epochs: not the study's"
        brackets = None if stage["asha"] == "none" else stage["asha"].get("brackets")
        if not (event.get("bracket") in range(brackets) if brackets else "bracket" not in event):
            yield f"{event['trial']} is of bracket {event.get('bracket')}, where there are {brackets}"
    budgets = {event["trial"]: event["epochs"] for event in events if "created" in event["kind"]}
    for trial in created:
        mine = [event for event in events if event.get("trial") == trial]
        epochs = [event["epoch"] for event in _of(mine, "row")]
        if epochs != list(range(1, len(epochs) + 1)):
            yield f"{trial} has the epochs {epochs}"
        ends = [event for event in _of(mine, "trial_ended") if event["status"] != "interrupted"]
        # Whoever was given up for want of room on the disk, or whose checkpoint was lost, may be trained again.
        again = sum(event["status"] == "failed" for event in ends[:-1]) + len(_of(mine, "checkpoint_lost"))
        if not ends or len(ends) > 1 + again:
            yield f"{trial} ended {len(ends)} times"
            continue
        end = ends[-1]
        decisions = _of(mine, "decision")
        was_stopped = bool(decisions) and decisions[-1]["action"] == "stop"
        was_audited = bool(decisions) and decisions[-1]["action"] == "audit"
        expected = "stopped" if was_stopped else "audited" if was_audited else "completed"
        if end["status"] != expected or end["epochs"] != len(epochs):
            yield f"{trial} ended {end['status']} after {end['epochs']} epochs, expected {expected} after {len(epochs)}"
        if was_stopped and decisions[-1]["epoch"] != len(epochs):
            yield f"{trial} was trained on after it was stopped"
        if not was_stopped and len(epochs) != budgets[trial]:
            yield f"{trial} has {len(epochs)} of {budgets[trial]} epochs"


def _suggestions(events: list[Event], study: dict[str, Any]) -> Iterator[str]:
    """What a sampler that learns suggests is recorded with what it knew, once for each place, and within its axes."""
    stages: dict[str, str] = {}
    rows: dict[str, set[tuple]] = {name: set() for name in study["stages"]}
    ended: dict[str, set[str]] = {name: set() for name in study["stages"]}
    for event in events:
        name = stages.get(event.get("trial"))
        if event["kind"] == "trial_created":
            name = stages[event["trial"]] = event["stage"]
            stage = study["stages"][name]
            if stage.get("sampler", {}).get("name", "quasi_random") == "quasi_random":
                if "based_on" in event:
                    yield f"{event['trial']} is based on {event['based_on']}, though its sampler does not learn"
                continue
            expected = {"rows": len(rows[name]), "ends": len(ended[name])}
            if event.get("based_on") != expected:
                yield f"{event['trial']} is based on {event.get('based_on')}, expected {expected}"
            for axis, given in stage["space"].items():
                value = event["configuration"].get(axis, PLAIN.get(axis))
                if _applies(given, event["configuration"]) and not _allows(given, value):
                    yield f"{event['trial']}: {axis} is {value}, which is not of {given}"
        elif event["kind"] == "row" and name:
            rows[name].add((event["trial"], event["epoch"]))
        elif event["kind"] == "trial_ended" and name and event["status"] != "interrupted":
            ended[name].add(event["trial"])
    for name, stage in study["stages"].items():
        if stage.get("sampler", {}).get("name", "quasi_random") == "quasi_random":
            continue
        mine = [event for event in _of(events, "trial_created") if event["stage"] == name]
        told = Counter((event["dataset"], json.dumps(event["configuration"])) for event in mine)
        yield from (f"stage {name} has {what} {count} times" for what, count in told.items() if count > 1)
        (opening,) = [event for event in _of(events, "stage_started") if event["stage"] == name]
        drawn = [axis for axis in stage["space"].values() if "uniform" in axis or "log_uniform" in axis]
        if len(mine) != opening["num_trials"] and any(not axis.get("when") for axis in drawn):
            yield f"stage {name} has {len(mine)} trials, expected {opening['num_trials']}"


def _applies(axis: dict[str, Any], configuration: dict[str, Any]) -> bool:
    wanted = {name: value if isinstance(value, list) else [value] for name, value in axis.get("when", {}).items()}
    return all(configuration.get(name, PLAIN.get(name)) in values for name, values in wanted.items())


def _allows(axis: dict[str, Any], value: Any) -> bool:
    for way in ("uniform", "log_uniform"):
        if way in axis:
            low, high = axis[way]
            return low * (1 - 1e-12) <= value <= high * (1 + 1e-12)
    return value in (axis.get("grid") or axis.get("choice") or [axis.get("value")])


def _winners(events: list[Event], study: dict[str, Any]) -> Iterator[str]:
    """The best of each cell and of each stage on each data set, what later stages start from, and what is retrained."""
    trials = {event["trial"]: event for event in _of(events, "trial_created")}
    completed = {event["trial"] for event in _of(events, "trial_ended") if event["status"] == "completed"}
    last = {event["trial"]: event for event in _of(events, "row")}
    datasets = [dataset["name"] for dataset in study["datasets"]]
    owed: set[tuple] = set()
    winners: dict[tuple[str, str], Event] = {}
    for name, stage in study["stages"].items():
        sign = 1.0 if stage["metric"] == "validation_mse" else -1.0
        best: dict[tuple[str, str], tuple[float, str]] = {}
        for trial, event in trials.items():
            if event["stage"] == name and trial in completed:
                value = sign * last[trial][stage["metric"]]
                cell = (event["dataset"], json.dumps(event["cell"]))
                if cell not in best or value < best[cell][0]:
                    best[cell] = (value, trial)
        cells = [event for event in _of(events, "cell_winner") if event["stage"] == name]
        recorded = {(event["dataset"], json.dumps(event["cell"])): event["trial"] for event in cells}
        if recorded != {cell: trial for cell, (_, trial) in best.items()} or len(cells) != len(recorded):
            yield f"stage {name}: the cells' winners are {recorded}, expected {best}"
        told = [(e["dataset"], e["trial"]) for e in _of(events, "stage_winner") if e["stage"] == name]
        # Of two that are equally good the first in the table's order is the winner.
        firsts = {dataset: [found for (whose, _), found in best.items() if whose == dataset] for dataset in datasets}
        expected = {dataset: min(found, key=lambda pair: pair[0])[1] for dataset, found in firsts.items() if found}
        if sorted(told) != sorted(expected.items()):
            yield f"stage {name}: the winners are {told}, expected {expected}"
        yield from _origins(name, stage, trials, winners)
        winners |= {(name, dataset): trials[trial] for dataset, trial in expected.items()}
        settings = {**study["retraining"], **stage["retraining"]}
        chosen = {"winner": list(expected.values()), "cells": [trial for _, trial in best.values()], "none": []}
        for trial in chosen[settings["of"]]:
            what = (trials[trial]["dataset"], json.dumps(trials[trial]["configuration"]), settings["epochs"])
            owed |= {(*what, study["seed"] + k) for k in range(settings["seeds"])}
    created = _of(events, "retraining_created")
    made = [(e["dataset"], json.dumps(e["configuration"]), e["epochs"], e["seed"]) for e in created]
    if Counter(made) != Counter(owed):
        yield f"retrained {sorted(made)}, expected {sorted(owed)}"
    retrained = Counter(event["trial"] for event in _of(events, "retrained"))
    if set(retrained) != {event["trial"] for event in created}:
        yield "a retraining has no result"
    yield from _pictures(events)


def _origins(
    name: str, stage: dict[str, Any], trials: dict[str, Event], winners: dict[tuple[str, str], Event]
) -> Iterator[str]:
    """What a stage does not search, its trials have from the winner on the same data set that they start from."""
    for trial, event in trials.items():
        if event["stage"] != name:
            continue
        found = event["configuration"]
        if any(_value(found, axis) != value for axis, value in event["cell"].items()):
            yield f"{trial} is not what its cell says"
        if "from" in stage:
            origin = winners[stage["from"], event["dataset"]]["configuration"]
            other = [axis for axis in origin if axis not in stage["space"] and found.get(axis) != origin[axis]]
            if other:
                yield f"{trial}: {other} are not those of the winner of {stage['from']}"


def _value(configuration: dict[str, Any], axis: str) -> Any:
    """What a cell says of a configuration on an axis; `model` is told from its fields."""
    if axis != "model":
        return configuration.get(axis, PLAIN.get(axis))
    layers = ["-".join(map(str, configuration.get(name, []))) for name in ("channels", "hidden_layers")]
    kinds = [configuration[name] for name in ("code", "family") if name in configuration]
    return " ".join([*kinds, *filter(None, layers)]) or "no hidden layers"


def _pictures(events: list[Event]) -> Iterator[str]:
    """Every data set with a retrained winner has baselines on its test images, and pictures of each stage, once."""
    datasets = {event["trial"]: event["dataset"] for event in _of(events, "retraining_created")}
    trained = set(datasets.values())
    judged = {event["dataset"] for event in _of(events, "baseline") if event["split"] == "test"}
    if trained != judged:
        yield f"test baselines are there for {sorted(judged)}, expected {sorted(trained)}"
    pictures: set[tuple[str, str, str]] = set()
    retrained: set[str] = set()
    for event in events:
        if event["kind"] == "retrained" and event["trial"] not in retrained:
            # Where a winner had failed and is retrained later, its stage is shown again.
            retrained.add(event["trial"])
            pictures = {what for what in pictures if what[0] != datasets[event["trial"]]}
        elif event["kind"] == "pictures":
            what = event["dataset"], event["stage"], event["file"]
            if what in pictures:
                yield f"{what} is there again, though no winner was retrained since"
            pictures.add(what)
    if {dataset for dataset, _, _ in pictures} != trained:
        yield f"pictures are there of {sorted(pictures)}, expected them of {sorted(trained)}"


def _values(events: list[Event], expected_rows: Callable[[Event], list[Event]]) -> Iterator[str]:
    for created in events:
        if created["kind"] not in ("trial_created", "retraining_created"):
            continue
        rows = [event for event in _of(events, "row") if event["trial"] == created["trial"]]
        for row, expected in zip(rows, expected_rows(created), strict=False):
            differing = [name for name, value in expected.items() if row.get(name) != value]
            if differing:
                yield f"{created['trial']}, epoch {row['epoch']}: {differing} differ from an undisturbed training"

"""Which decisions ASHA owes at the rungs of a journal: derived from the study and the rows, by formulas of its own.

Shares no code with the scheduler, so that a fault of its is not repeated here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]


def _rungs(stage: dict[str, Any]) -> list[int]:
    """grace_period * reduction_factor ** k, rounded down, below the budget; none without ASHA."""
    if stage["asha"] == "none":
        return []
    grace, factor = stage["asha"]["grace_period"], stage["asha"]["reduction_factor"]
    powers = (math.floor(grace * factor**k) for k in range(64))
    return sorted({rung for rung in powers if rung < stage["epochs"]})


def _percentile(values: list[float], share: float) -> float:
    """By linear interpolation between order statistics (definition 7 of Hyndman and Fan, 1996)."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def decision_faults(events: list[Event], study: dict[str, Any]) -> Iterator[str]:
    """Replays each stage: a row at a rung must be followed by the decision that the values before it ask for."""
    trials = {event["trial"]: event for event in events if event["kind"] == "trial_created"}
    seen: dict[tuple, list[float]] = {}
    seeds: dict[tuple, dict[str, tuple[float, list[float]]]] = {}
    owed: dict[str, Event] = {}
    audited: set[str] = set()
    for event in events:
        trial = trials.get(event.get("trial"))
        if trial is None:
            continue
        stage = study["stages"][trial["stage"]]
        if event["kind"] == "row":
            if event["trial"] in owed:
                yield f"{event['trial']}, epoch {owed[event['trial']]['epoch']}: trained on without a decision"
            if event["epoch"] in _rungs(stage)[trial.get("bracket", 0) :] and event["trial"] not in audited:
                owed[event["trial"]] = event
        elif event["kind"] == "decision":
            row = owed.pop(event["trial"], None)
            if row is None or row["epoch"] != event["epoch"] or row[stage["metric"]] != event["value"]:
                yield f"{event['trial']}, epoch {event['epoch']}: a decision without its row"
                continue
            cell = json.dumps([trial["cell"], trial.get("bracket")])
            key = (trial["stage"], trial["dataset"], cell, event["epoch"])
            earlier = seen.setdefault(key, [])
            # Minimal is best: the cutoff lies where one in `reduction_factor` of the earlier values is as good.
            sign = 1.0 if stage["metric"] == "validation_mse" else -1.0
            good = 1 / stage["asha"]["reduction_factor"]
            cutoff = sign * _percentile([sign * value for value in earlier], good) if earlier else None
            keeps = cutoff is None or sign * event["value"] <= sign * cutoff + 1e-12 * abs(cutoff)
            keeps, compared = _spared(event, row, seeds.setdefault(key, {}), stage, cutoff, keeps, sign)
            if (event.get("comparison") or None) != compared and not _is_close(event.get("comparison"), compared):
                yield f"{event['trial']}, epoch {event['epoch']}: compared {event.get('comparison')}, not {compared}"
            if event["action"] == "audit":
                audited.add(event["trial"])
                if not stage["asha"].get("audit"):
                    yield f"{event['trial']} is trained on out of competition, which the study does not ask for"
            elif event["action"] == "stop" and stage["asha"].get("audit") == 1:
                yield f"{event['trial']} is stopped, where all are to be trained on out of competition"
            if event["num_compared"] != len(earlier) or (event["action"] == "continue") != keeps:
                yield f"{event['trial']}, epoch {event['epoch']}: {event['action']} does not follow from {earlier}"
            if (cutoff is None) != (event["cutoff"] is None) or (
                cutoff is not None and not math.isclose(cutoff, event["cutoff"], rel_tol=1e-9)
            ):
                yield f"{event['trial']}, epoch {event['epoch']}: the cutoff is {event['cutoff']}, expected {cutoff}"
            earlier.append(event["value"])
    yield from (f"{trial} has no decision at epoch {row['epoch']}" for trial, row in owed.items())


def _spared(
    event: Event,
    row: Event,
    known: dict[str, tuple[float, list[float]]],
    stage: dict[str, Any],
    cutoff: float | None,
    keeps: bool,
    sign: float,
) -> tuple[bool, Event | None]:
    """Whether a trial goes on once its seeds' spread is asked, where the study asks it, and the comparison.

    Two means over seeds differ by the mean difference of the seeds' logarithms. Its variance is twice that of a trial's
    residual from the sum of its own and its seed's mean, over the number of seeds.
    """
    level, mine = stage["asha"].get("significance"), row["per_seed"]
    known[event["trial"]] = sign * event["value"], mine
    if keeps or level is None:
        return keeps, None
    others = {name: found for name, found in known.items() if name != event["trial"]}
    good = {name: value for name, (value, _) in others.items() if value <= sign * cutoff + 1e-12 * abs(cutoff)}
    rival = max(good, key=good.get)
    logs = {name: [math.log(value) for value in per_seed] for name, (_, per_seed) in known.items()}
    num, size = len(logs), len(mine)
    of_seed = [sum(values[s] for values in logs.values()) / num for s in range(size)]
    whole = sum(of_seed) / size
    squares = 0.0
    for values in logs.values():
        mean = sum(values) / size
        squares += sum((values[s] - mean - of_seed[s] + whole) ** 2 for s in range(size))
    freedom = (num - 1) * (size - 1)
    difference = sum(a - b for a, b in zip(logs[event["trial"]], logs[rival], strict=True)) / size
    margin = student(1 - level, freedom) * math.sqrt(2 * squares / freedom / size)
    compared = {"rival": rival, "difference": difference, "margin": margin, "significance": level}
    return difference <= margin, compared


def _is_close(found: Event | None, expected: Event | None) -> bool:
    if not found or not expected or found.keys() != expected.keys() or found["rival"] != expected["rival"]:
        return False
    return all(
        math.isclose(found[name], expected[name], rel_tol=1e-6, abs_tol=1e-9) for name in expected if name != "rival"
    )


def student(share: float, freedom: int) -> float:
    """The quantile of Student's t, by bisection of its density's integral (Simpson's rule, substituting x = tan u)."""
    log_scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - 0.5 * math.log(freedom * math.pi)

    def density(u: float) -> float:
        x = math.tan(u)
        return math.exp(log_scale - (freedom + 1) / 2 * math.log1p(x * x / freedom)) * (1 + x * x)

    def integral(upper: float) -> float:
        number = 400
        step = math.atan(upper) / number
        inner = sum((4 if k % 2 else 2) * density(k * step) for k in range(1, number))
        return 0.5 + step / 3 * (density(0) + inner + density(number * step))

    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if integral(middle) < share else (low, middle)
    return low

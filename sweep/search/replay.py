"""What a run's journal says about how far it is: the ground on which a run goes on after a kill.

Pure: events in, plain values out. Nothing is read but the journal, so that what a run is resumed from can be checked
line by line.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

from aesweep.process.errors import JournalError
from aesweep.search.schedulers.asha import Asha
from aesweep.search.trial_spec import Job
from aesweep.storage.named_files import picture_key
from aesweep.study.schema import Study, study_hash
from aesweep.study.study_file import check_study

Event = dict[str, Any]

# Which fields tell one event of a kind from another.
_IDENTITY = {
    "stage_started": ("stage",),
    "stage_extended": ("stage", "extension"),
    "trial_created": ("trial",),
    "baseline": ("dataset", "split", "stage", "method", "latent_dim", "noise_variance"),
    "cell_winner": ("stage", "dataset", "cell"),
    "stage_winner": ("stage", "dataset"),
    "retraining_created": ("trial",),
    "pictures": ("dataset", "stage", "purpose"),
}


@dataclasses.dataclass
class Standing:
    """How far a trial is.

    Attributes:
        epochs: how many of its epochs are recorded; the first so many, without a gap.
        seconds: how long it held a worker, as far as that is known.
        row: its last row.
        stops: whether ASHA's last decision was to stop it.
        retrained: whether its `retrained` event is recorded.
        num_failures: attempts that failed since its last row.
        given_up: why no attempt follows the last one; None where one may.
        status: how it ended; None where it did not, or was only interrupted.
    """

    epochs: int = 0
    seconds: float = 0.0
    row: Event | None = None
    stops: bool = False
    retrained: bool = False
    num_failures: int = 0
    given_up: str | None = None
    status: str | None = None


def standings(events: Iterable[Event]) -> dict[str, Standing]:
    """How far every trial and retraining is that the journal speaks of."""
    found: dict[str, Standing] = {}
    for event in events:
        kind = event["kind"]
        if kind in ("trial_created", "retraining_created"):
            found.setdefault(event["trial"], Standing())
            continue
        standing = found.get(event.get("trial"))
        if standing is None:
            continue
        if kind == "row":
            standing.epochs, standing.row, standing.num_failures = event["epoch"], event, 0
            standing.seconds += event["seconds"] or 0.0
        elif kind == "failure":
            standing.num_failures += 1
            standing.given_up = None if event["retried"] else f"{event['cause']}: {event['reason']}"
        elif kind == "decision":
            standing.stops = event["action"] == "stop"
        elif kind == "retrained":
            standing.retrained = True
        elif kind == "checkpoint_lost":
            standing.retrained, standing.status = False, None
        elif kind == "trial_ended":
            standing.status = None if event["status"] == "interrupted" else event["status"]
            standing.seconds = event["seconds"] or 0.0
            standing.num_failures, standing.given_up = 0, None
    return found


def replay(ashas: dict[Any, Asha], jobs: list[Job], events: Iterable[Event], source: Path) -> None:
    """Fills a stage's rungs with what they had seen when the run ended.

    Args:
        ashas: by `Job.rivals`, empty; filled in place.
        jobs: all of the stage.
        events: the journal.
        source: its path, for messages.

    Raises:
        JournalError: a recorded decision is not the one that follows from the values before it.
    """
    cells = {job.trial: job.rivals for job in jobs}
    for event in events:
        if event["kind"] != "decision" or event["trial"] not in cells:
            continue
        decision = ashas[cells[event["trial"]]].decide(event["trial"], event["epoch"], event["value"])
        derived = decision and ("continue" if decision.keep else "stop", decision.num_compared)
        if derived != (event["action"], event["num_compared"]):
            raise JournalError(
                f"{source}, line {event['seq'] + 1}: the decision on {event['trial']} at epoch {event['epoch']} does "
                f"not follow from those before it: expected {derived}, found {event['action']}"
            )


def missing(
    expected: Iterable[tuple[str, dict[str, Any]]], events: Iterable[Event], source: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Those of the events that a run should record, as (kind, fields), that the journal does not hold.

    Raises:
        JournalError: the journal holds the event with other fields, so that it is the record of another study or
            version, and what would follow does not belong to it.
    """
    recorded = {_identity(event["kind"], event): event for event in events if event["kind"] in _IDENTITY}
    for kind, fields in expected:
        found = recorded.get(_identity(kind, fields))
        if found is None:
            yield kind, fields
            continue
        for name, value in json.loads(json.dumps(fields)).items():
            if kind != "baseline" and found.get(name) != value:
                raise JournalError(
                    f"{source}, line {found['seq'] + 1}: {kind}: {name} is {found.get(name)!r}, but this aesweep "
                    f"derives {value!r} from the study: resume the run with the version that started it"
                )


def _identity(kind: str, fields: dict[str, Any]) -> tuple[str, ...]:
    return (kind, *(json.dumps(fields.get(name)) for name in _IDENTITY[kind]))


def recorded_study(events: list[Event], source: Path) -> Study:
    """The study that the run was started with. Raises JournalError where there is none, or not the one it was."""
    start = next((event for event in events if event["kind"] == "run_started"), None)
    if start is None:
        raise JournalError(
            f"{source}: nothing was recorded yet: `aesweep run` of the study under the same name takes it over"
        )
    digest = study_hash(start["study"])
    # The first journals hold a hash of the whole paths.
    of_whole_paths = hashlib.sha256(json.dumps(start["study"], sort_keys=True).encode()).hexdigest()
    if start["study_hash"] not in (digest, of_whole_paths):
        raise JournalError(f"{source}: the study's hash is {digest}, expected {start['study_hash']}")
    return check_study(start["study"], str(source))


def check_images(events: list[Event], found: dict[str, dict[str, Any]], source: Path) -> None:
    """Makes sure that the images are those that the run was started with.

    Args:
        events: the journal.
        found: for each data set, what `run_started` would record of it now.
        source: the journal's path, for messages.

    Raises:
        JournalError: they are not.
    """
    datasets = next(event["datasets"] for event in events if event["kind"] == "run_started")
    for name, expected in datasets.items():
        for field, value in expected.items():
            got = found.get(name, {}).get(field)
            if got != value:
                raise JournalError(
                    f"{source}: data set {name}: {field} is {got} now and was {value} when the run started: "
                    "give it the same images (--images NAME=FOLDER, --data-dir), or start a new run"
                )


def is_over(events: list[Event]) -> bool:
    """Whether the run came to its end, so that nothing is left to do."""
    return bool(events) and events[-1]["kind"] == "run_ended" and events[-1]["status"] != "interrupted"


def after_retraining(events: list[Event], lost: Container[tuple[str, str, str]] = ()) -> list[Event]:
    """What was recorded since the last winner was retrained: the test set's baselines and pictures, if any.

    Args:
        events: the journal.
        lost: pictures that are gone, as `picture_key` has them; they are left out.
    """
    first: dict[str, int] = {}
    for event in events:
        if event["kind"] == "retrained":
            first.setdefault(event["trial"], event["seq"])  # made again, a lost checkpoint is the same to the bit
    since = events[max(first.values(), default=-1) + 1 :]
    return [event for event in since if event["kind"] != "pictures" or picture_key(event) not in lost]


def unrecorded_seconds(events: list[Event]) -> float:
    """How long the run went on since its last start, where no `run_ended` says so; by the times of its events."""
    session: list[Event] = []
    for event in events:
        if event["kind"] in ("run_started", "resumed"):
            session = []
        session.append(event)
        if event["kind"] == "run_ended":
            session = []
    return _span(session)


def stage_seconds(events: list[Event], stage: str) -> float:
    """How long earlier sessions were at work on a stage (or "retraining") that has not ended, without the time between.

    Args:
        events: the journal, up to where the session under way takes up the stage.
        stage: its name.
    """
    kinds = ("stage_started", "stage_extended") if stage != "retraining" else ("retraining_created",)
    openings = [(kind, stage if stage != "retraining" else None) for kind in kinds]
    sessions: list[list[Event]] = [[]]
    for event in events:
        if event["kind"] == "stage_ended" and event["stage"] == stage:
            sessions = [[]]
        elif event["kind"] in ("run_ended", "resumed"):
            sessions.append([])
        # A session that goes on with the stage is at work on it from its first event.
        if any(sessions) or (event["kind"], event.get("stage")) in openings:
            sessions[-1].append(event)
    # The last is the session under way, which has a clock of its own.
    return sum(_span(session) for session in sessions[:-1])


def _span(events: list[Event]) -> float:
    return round(max(0.0, events[-1]["time"] - events[0]["time"]), 3) if events else 0.0

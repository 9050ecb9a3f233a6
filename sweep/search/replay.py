"""Derives from a journal how far a run is, and checks that this version can continue the run.

All functions are pure: they take events and return plain values, so that the state from which a run is resumed can be
checked line by line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

from aesweep.process.errors import JournalError
from aesweep.search.schedulers.asha import Asha
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.event import Event
from aesweep.storage.events import (
    Baseline,
    CellWinner,
    Decision,
    Pictures,
    Resumed,
    RetrainingCreated,
    RunEnded,
    RunStarted,
    StageEnded,
    StageExtended,
    StageStarted,
    StageWinner,
    TrialCreated,
)
from aesweep.storage.run_state import RETRAINING, RunState
from aesweep.study.schema import Study, study_hash
from aesweep.study.study_file import check_study

# For each kind of event, the fields that distinguish one event of the kind from another.
_IDENTITY: dict[type[Event], tuple[str, ...]] = {
    StageStarted: ("stage",),
    StageExtended: ("stage", "extension"),
    TrialCreated: ("trial",),
    Baseline: ("dataset", "split", "stage", "method", "latent_dim", "noise_variance"),
    CellWinner: ("stage", "dataset", "cell"),
    StageWinner: ("stage", "dataset"),
    RetrainingCreated: ("trial",),
    Pictures: ("dataset", "stage", "purpose"),
}


def replay(ashas: dict[Any, Asha], specs: list[TrialSpec], state: RunState, source: Path) -> None:
    """Fills a stage's rungs with the values that they held when the run ended.

    Args:
        ashas: maps `TrialSpec.rivals` to empty `Asha`s, which are filled in place.
        specs: all trials of the stage.
        state: the run's state.
        source: the journal's path, for messages.

    Raises:
        JournalError: a recorded decision is not the one that follows from the values before it.
    """
    known = {spec.trial: spec for spec in specs}
    for event in state.events:
        if not isinstance(event, Decision) or event.trial not in known:
            continue
        spec, row = known[event.trial], state.trials[event.trial].rows[event.epoch - 1]
        decision = ashas[spec.rivals].decide(event.trial, event.epoch, event.value, row.per_seed)
        derived = decision and (decision.action(spec.is_drawn), decision.num_compared)
        if derived != (event.action, event.num_compared):
            raise JournalError(
                f"{source}, line {event.seq + 1}: the decision on {event.trial} at epoch {event.epoch} does "
                f"not follow from those before it: expected {derived}, found {event.action}"
            )


def missing(expected: Iterable[Event], known: Iterable[Event], source: Path) -> Iterator[Event]:
    """Yields the expected events that the journal does not hold.

    Args:
        expected: the events that the run should record.
        known: the events that are recorded.
        source: the journal's path, for messages.

    Raises:
        JournalError: the journal holds an expected event with other fields. It is then the record of another study or
            version, and the events that would follow do not belong to it.
    """
    recorded = {_identity(event): event for event in known if type(event) in _IDENTITY}
    for event in expected:
        found = recorded.get(_identity(event))
        if found is None:
            yield event
            continue
        for name, value in json.loads(json.dumps(event.fields())).items():
            if not isinstance(event, Baseline) and getattr(found, name) != value:
                raise JournalError(
                    f"{source}, line {found.seq + 1}: {event.kind}: {name} is {getattr(found, name)!r}, but this "
                    f"aesweep derives {value!r} from the study: resume the run with the version that started it"
                )


def _identity(event: Event) -> tuple[str, ...]:
    return (event.kind, *(json.dumps(getattr(event, name)) for name in _IDENTITY[type(event)]))


def recorded_study(state: RunState, source: Path) -> Study:
    """Returns the study that the run was started with, checked anew.

    Args:
        state: the run's state.
        source: the journal's path, for messages.

    Raises:
        JournalError: no start is recorded, or the recorded study does not have the recorded hash.
    """
    if state.start is None:
        raise JournalError(
            f"{source}: nothing was recorded yet: `aesweep run` of the study under the same name takes it over"
        )
    study = state.start.study
    digest = study_hash(study)
    # The first versions hashed the study with whole paths, and their journals hold that hash.
    of_whole_paths = hashlib.sha256(json.dumps(study, sort_keys=True).encode()).hexdigest()
    if state.start.study_hash not in (digest, of_whole_paths):
        raise JournalError(f"{source}: the study's hash is {digest}, expected {state.start.study_hash}")
    return check_study(study, str(source))


def check_images(state: RunState, found: dict[str, dict[str, Any]], source: Path) -> None:
    """Checks that the images are those that the run was started with.

    Args:
        state: the state of a run that has started.
        found: for each data set, what `run_started` would record of it now.
        source: the journal's path, for messages.

    Raises:
        JournalError: the images of a data set are not those that were recorded.
    """
    for name, expected in state.start.datasets.items():
        for field, value in expected.items():
            got = found.get(name, {}).get(field)
            if got != value:
                raise JournalError(
                    f"{source}: data set {name}: {field} is {got} now and was {value} when the run started: "
                    "give it the same images (--images NAME=PATH, --data-dir), or start a new run"
                )


def after_retraining(state: RunState, lost: Container[tuple[str, str, str]] = ()) -> list[Event]:
    """Returns the events since the last winner was retrained, for each data set: its baselines and pictures, if any.

    Args:
        state: the run's state. A retraining that was repeated because its checkpoint was lost does not count as the
            last one, since its result is the same to the bit.
        lost: `Pictures.key` of the pictures whose files are lost; their events are left out.
    """
    last = max(state.results_at.values(), default=-1)

    def follows(event: Event) -> bool:
        return event.seq > state.results_at.get(getattr(event, "dataset", None), last)

    return [
        event for event in state.events if follows(event) and not (isinstance(event, Pictures) and event.key in lost)
    ]


def unrecorded_seconds(state: RunState) -> float:
    """Returns how long the last session lasted if no `run_ended` records it, by the times of its events; else 0."""
    session: list[Event] = []
    for event in state.events:
        if isinstance(event, (RunStarted, Resumed)):
            session = []
        session.append(event)
        if isinstance(event, RunEnded):
            session = []
    return _span(session)


def stage_seconds(state: RunState, stage: str) -> float:
    """Returns how many seconds earlier sessions worked on a stage that has not ended, without the time between them.

    Args:
        state: the run's state when the current session begins to work on the stage.
        stage: the stage's name; `RETRAINING` for the retraining.
    """
    sessions: list[list[Event]] = [[]]
    for event in state.events:
        if isinstance(event, StageEnded) and event.stage == stage:
            sessions = [[]]
        elif isinstance(event, (RunEnded, Resumed)):
            sessions.append([])
        # A session that continues the stage works on it from the session's first event.
        if any(sessions) or _opens(event, stage):
            sessions[-1].append(event)
    # The last one is the current session, whose time the caller measures itself.
    return sum(_span(session) for session in sessions[:-1])


def _opens(event: Event, stage: str) -> bool:
    """Returns whether an event begins a stage, an extension of it, or the retraining."""
    if stage == RETRAINING:
        return isinstance(event, RetrainingCreated)
    return isinstance(event, StageStarted) and event.stage == stage


def _span(events: list[Event]) -> float:
    return round(max(0.0, events[-1].time - events[0].time), 3) if events else 0.0

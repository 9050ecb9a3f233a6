"""How far a run is, and whether its record is one that this version can go on with.

Pure: what the journal says in, plain values out, so that what a run is resumed from can be checked line by line.
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

# Which fields tell one event of a kind from another.
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
    """Fills a stage's rungs with what they had seen when the run ended.

    Args:
        ashas: by `TrialSpec.rivals`, empty; filled in place.
        specs: all of the stage.
        state: of the run.
        source: its path, for messages.

    Raises:
        JournalError: a recorded decision is not the one that follows from the values before it.
    """
    cells = {spec.trial: spec.rivals for spec in specs}
    for event in state.events:
        if not isinstance(event, Decision) or event.trial not in cells:
            continue
        decision = ashas[cells[event.trial]].decide(event.trial, event.epoch, event.value)
        derived = decision and ("continue" if decision.keep else "stop", decision.num_compared)
        if derived != (event.action, event.num_compared):
            raise JournalError(
                f"{source}, line {event.seq + 1}: the decision on {event.trial} at epoch {event.epoch} does "
                f"not follow from those before it: expected {derived}, found {event.action}"
            )


def missing(expected: Iterable[Event], known: Iterable[Event], source: Path) -> Iterator[Event]:
    """Those of the events that a run should record that the journal does not hold.

    Args:
        expected: what should be recorded.
        known: what is recorded.
        source: the journal's path, for messages.

    Raises:
        JournalError: the journal holds the event with other fields, so that it is the record of another study or
            version, and what would follow does not belong to it.
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
    """The study that the run was started with. Raises JournalError where there is none, or not the one it was."""
    if state.start is None:
        raise JournalError(
            f"{source}: nothing was recorded yet: `aesweep run` of the study under the same name takes it over"
        )
    study = state.start.study
    digest = study_hash(study)
    # The first journals hold a hash of the whole paths.
    of_whole_paths = hashlib.sha256(json.dumps(study, sort_keys=True).encode()).hexdigest()
    if state.start.study_hash not in (digest, of_whole_paths):
        raise JournalError(f"{source}: the study's hash is {digest}, expected {state.start.study_hash}")
    return check_study(study, str(source))


def check_images(state: RunState, found: dict[str, dict[str, Any]], source: Path) -> None:
    """Makes sure that the images are those that the run was started with.

    Args:
        state: of the run, which has started.
        found: for each data set, what `run_started` would record of it now.
        source: the journal's path, for messages.

    Raises:
        JournalError: they are not.
    """
    for name, expected in state.start.datasets.items():
        for field, value in expected.items():
            got = found.get(name, {}).get(field)
            if got != value:
                raise JournalError(
                    f"{source}: data set {name}: {field} is {got} now and was {value} when the run started: "
                    "give it the same images (--images NAME=FOLDER, --data-dir), or start a new run"
                )


def after_retraining(state: RunState, lost: Container[tuple[str, str, str]] = ()) -> list[Event]:
    """What was recorded since the last winner was retrained: the test set's baselines and pictures, if any.

    Args:
        state: of the run. A checkpoint that was made again is the same to the bit, and counts for nothing here.
        lost: pictures that are gone, as `Pictures.key` has them; they are left out.
    """
    since = state.events[state.result_at + 1 :]
    return [event for event in since if not isinstance(event, Pictures) or event.key not in lost]


def unrecorded_seconds(state: RunState) -> float:
    """How long the run went on since its last start, where no `run_ended` says so; by the times of its events."""
    session: list[Event] = []
    for event in state.events:
        if isinstance(event, (RunStarted, Resumed)):
            session = []
        session.append(event)
        if isinstance(event, RunEnded):
            session = []
    return _span(session)


def stage_seconds(state: RunState, stage: str) -> float:
    """How long earlier sessions were at work on a stage that has not ended, without the time between.

    Args:
        state: of the run, up to where the session under way takes up the stage.
        stage: its name; `RETRAINING` for the retraining.
    """
    sessions: list[list[Event]] = [[]]
    for event in state.events:
        if isinstance(event, StageEnded) and event.stage == stage:
            sessions = [[]]
        elif isinstance(event, (RunEnded, Resumed)):
            sessions.append([])
        # A session that goes on with the stage is at work on it from its first event.
        if any(sessions) or _opens(event, stage):
            sessions[-1].append(event)
    # The last is the session under way, which has a clock of its own.
    return sum(_span(session) for session in sessions[:-1])


def _opens(event: Event, stage: str) -> bool:
    """Whether an event begins a stage, or an extension of it, or the retraining."""
    if stage == RETRAINING:
        return isinstance(event, RetrainingCreated)
    return isinstance(event, StageStarted) and event.stage == stage


def _span(events: list[Event]) -> float:
    return round(max(0.0, events[-1].time - events[0].time), 3) if events else 0.0

"""From the journal's plain values to typed events; the way back is `Event.fields`."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aesweep.storage import events
from aesweep.storage.event import Action, Cause, Event, RunStatus, TrialStatus
from aesweep.storage.journal import read_journal

KINDS: dict[str, type[Event]] = {cls.kind: cls for cls in vars(events).values() if getattr(cls, "kind", "")}
_ENUMS: dict[str, tuple[str, type[enum.StrEnum]]] = {
    "trial_ended": ("status", TrialStatus),
    "run_ended": ("status", RunStatus),
    "decision": ("action", Action),
    "failure": ("cause", Cause),
}


def parse_event(values: Mapping[str, Any] | Event) -> Event:
    """An event from the journal's plain values; unknown fields are passed over."""
    if isinstance(values, Event):
        return values
    cls = KINDS.get(values["kind"], events.Unknown)
    found = {field.name: values.get(field.name, field.default) for field in dataclasses.fields(cls)}
    found = {name: None if value is dataclasses.MISSING else value for name, value in found.items()}
    name, members = _ENUMS.get(cls.kind, ("", None))
    if members is not None:
        found[name] = members(found[name])
    return cls(**found)


def read_events(path: Path) -> list[Event]:
    """A journal's events in order; raises as `read_journal`."""
    return parse_events(read_journal(path))


def parse_events(values: Iterable[Mapping[str, Any] | Event]) -> list[Event]:
    """Several, as `parse_event`."""
    return [parse_event(event) for event in values]

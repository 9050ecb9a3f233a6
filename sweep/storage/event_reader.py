"""Converts the journal's plain values to typed events; `Event.fields` is the inverse."""

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
    """Returns the typed event for the journal's plain values; unknown fields are ignored."""
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
    """Returns a journal's events in order; raises as `read_journal`."""
    return parse_events(read_journal(path))


def parse_events(values: Iterable[Mapping[str, Any] | Event]) -> list[Event]:
    """Returns the typed events for several events' plain values, as `parse_event` does for one."""
    return [parse_event(event) for event in values]

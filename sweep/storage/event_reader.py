"""Converts the journal's plain values to typed events.

`Event.fields` is the inverse, except that it leaves out an optional field that was null, as a validation error that was
not finite is. Events that were read are never written again.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aesweep.process.errors import JournalError
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
# What a field is where the journal does not hold it.
_DEFAULTS: dict[type[Event], dict[str, Any]] = {
    cls: {
        field.name: None if field.default is dataclasses.MISSING else field.default for field in dataclasses.fields(cls)
    }
    for cls in (*KINDS.values(), events.Unknown)
}


def parse_event(values: Mapping[str, Any] | Event) -> Event:
    """Returns the typed event for the journal's plain values; unknown fields are ignored.

    Raises:
        ValueError: a status, an action or a cause is none that this version knows.
    """
    if isinstance(values, Event):
        return values
    cls = KINDS.get(values["kind"], events.Unknown)
    fields = {name: values.get(name, default) for name, default in _DEFAULTS[cls].items()}
    name, members = _ENUMS.get(cls.kind, ("", None))
    if members is not None:
        fields[name] = members(fields[name])
    return cls(**fields)


def read_events(path: Path) -> list[Event]:
    """Returns a journal's events in order.

    Raises:
        JournalError: as `read_journal`, or an event holds what this version does not know.
    """
    typed = []
    for values in read_journal(path):
        try:
            typed.append(parse_event(values))
        except ValueError as error:
            raise JournalError(
                f"{path}, line {len(typed) + 1}: {values['kind']}: {error}: the run was recorded by a newer version of "
                "aesweep: read it with that one"
            ) from error
    return typed

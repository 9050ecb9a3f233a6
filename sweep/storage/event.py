"""The base class of the journal's events, and the enumerations of their fields; `events.py` holds each kind's class."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, ClassVar

Fields = dict[str, Any]
CellKey = tuple[tuple[str, Any], ...]


class TrialStatus(enum.StrEnum):
    """How a trial ended.

    COMPLETED: it was trained to its end. STOPPED: ASHA stopped it. AUDITED: ASHA would have stopped it, and it went on
    out of competition. DIVERGED: its loss was not finite. FAILED: all attempts ended without a result. INTERRUPTED: its
    session ended before it did.
    """

    COMPLETED = "completed"
    STOPPED = "stopped"
    AUDITED = "audited"
    DIVERGED = "diverged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class RunStatus(enum.StrEnum):
    """How a session ended.

    COMPLETED: everything is done. INTERRUPTED: a signal ended it. FAILED: cells or retrainings have no result.
    """

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class Action(enum.StrEnum):
    """ASHA's decision on a trial at a rung; AUDIT stops it in the competition alone, and it is trained to its end."""

    CONTINUE = "continue"
    STOP = "stop"
    AUDIT = "audit"


class Cause(enum.StrEnum):
    """What ended an attempt at a trial.

    An ERROR of the training itself would occur again, since training is deterministic; all other causes lie in the
    machine.
    """

    CRASHED = "crashed"
    LOST_NODE = "lost node"
    OUT_OF_MEMORY = "out of memory"
    STORAGE = "storage"
    ERROR = "error"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """One event.

    Attributes:
        kind: the name of the event's kind in the journal.
        optional: names of the fields that are left out of the journal where they are None.
        seq: the event's number in the journal; -1 before it is recorded.
        time: unix seconds; 0 before it is recorded.
    """

    kind: ClassVar[str] = ""
    optional: ClassVar[tuple[str, ...]] = ()
    seq: int = -1
    time: float = 0.0

    def fields(self) -> Fields:
        """Returns the fields that the journal holds beside `seq`, `kind` and `time`, in the journal's order."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)[2:]}
        return {name: value for name, value in values.items() if value is not None or name not in self.optional}


def cell_key(cell: Mapping[str, Any]) -> CellKey:
    """Returns a cell as a hashable key, with lists, and those within them, as tuples."""
    return tuple((axis, _as_tuple(value)) for axis, value in cell.items())


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value

"""What an event of the journal is, and the words that its fields use; `events.py` has a dataclass for each kind."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, ClassVar

Fields = dict[str, Any]
CellKey = tuple[tuple[str, Any], ...]


class TrialStatus(enum.StrEnum):
    """How a trial ended: trained to its end, stopped by ASHA, with a loss that was not finite, in spite of all attempts
    without a result, or with its session."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class RunStatus(enum.StrEnum):
    """How a session ended: with everything done, by a signal, or with cells or retrainings that have no result."""

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class Action(enum.StrEnum):
    """What ASHA decided."""

    CONTINUE = "continue"
    STOP = "stop"


class Cause(enum.StrEnum):
    """What ended an attempt at a trial.

    An error of the training itself would come again, since a training is the same every time; everything else is the
    machine's doing.
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
        kind: its name in the journal.
        optional: names of the fields that the journal does not hold where they are None.
        seq: its number there; -1 before it is recorded.
        time: unix seconds; 0 before it is recorded.
    """

    kind: ClassVar[str] = ""
    optional: ClassVar[tuple[str, ...]] = ()
    seq: int = -1
    time: float = 0.0

    def fields(self) -> Fields:
        """What the journal holds of it beside `seq`, `kind` and `time`, in its order."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)[2:]}
        return {name: value for name, value in values.items() if value is not None or name not in self.optional}


def cell_key(cell: Mapping[str, Any]) -> CellKey:
    """A cell as something that can be a dictionary's key: widths as tuples."""
    return tuple((axis, tuple(value) if isinstance(value, list) else value) for axis, value in cell.items())

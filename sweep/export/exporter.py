"""The interface of exporters, and the errors of an export: the extension point for further formats."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

from aesweep.process.errors import EX_CANTCREAT, AesweepError
from aesweep.results import LoadedRun


class ExportError(AesweepError):
    """A place to which a run cannot be exported."""

    exit_code = EX_CANTCREAT


class MissingToolError(AesweepError):
    """A package that a format needs is not installed."""


class Steps(Protocol):
    """Shows how far a long export is."""

    def begin(self, title: str, total: int) -> None:
        """Begins work of `total` steps."""

    def advance(self, count: int = 1) -> None:
        """Tells that so many steps more are done."""


@dataclasses.dataclass(frozen=True)
class Exported:
    """What an export holds, after a call.

    Attributes:
        place: the file or folder that the tool opens.
        num_trials: trials and retrainings that it holds.
        num_rows: epochs that it holds.
    """

    place: Path
    num_trials: int
    num_rows: int


class Exporter(Protocol):
    """Writes a run for another tool. It is created with the folder into which it writes.

    A second call, by the same exporter or by another one with the same folder, leaves what a single one would have
    left: what is new is added, or everything is replaced, and nothing is there twice.
    """

    def write(self, run: LoadedRun, steps: Steps) -> Exported:
        """Writes what a run has recorded so far.

        Raises:
            ExportError: the folder holds something else.
            OSError: it cannot be written.
        """

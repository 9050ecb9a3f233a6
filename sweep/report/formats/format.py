"""The interface of a format: what it is given, and the files that it makes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from aesweep.report.sections.contents import Contents


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a report is to be written as.

    Attributes:
        formats: names of formats, see `registry.FORMATS`.
        width: of the figures for a paper: "page", or "column" for one of two columns.
    """

    formats: tuple[str, ...]
    width: str = "page"


# A file of a report: its path within the run's folder, with slashes, and its content.
File = tuple[str, str | bytes]


@dataclasses.dataclass(frozen=True)
class Format:
    """A format of the report.

    Attributes:
        files: makes its files, one by one.
        num_files: returns how many there will be, for the progress that is shown; one unless given.
    """

    files: Callable[[Contents, Settings], Iterator[File]]
    num_files: Callable[[Contents], int] = lambda _: 1

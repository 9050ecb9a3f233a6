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
Format = Callable[[Contents, Settings], Iterator[File]]

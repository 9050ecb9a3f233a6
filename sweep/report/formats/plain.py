"""The files that every report has, whatever its formats: its numbers as CSV, its figures as PNG and SVG."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pandas as pd

from aesweep.report.formats.format import File, Settings
from aesweep.report.sections.contents import Contents


def plain_files(contents: Contents, _: Settings) -> Iterator[File]:
    """Makes tables/*.csv, figures/*.png and figures/*.svg."""
    for name, frame in contents.frames.items():
        yield f"tables/{name}.csv", _csv(frame)
    for drawing in contents.drawings:
        for suffix in ("png", "svg"):
            yield f"figures/{drawing.name}.{suffix}", contents.encoded(drawing, suffix)


def num_plain_files(contents: Contents) -> int:
    return len(contents.frames) + 2 * len(contents.drawings)


def _csv(frame: pd.DataFrame) -> str:
    buffer = io.StringIO()
    # After `convert_dtypes`, counts stay whole numbers in a column that lacks some.
    frame.convert_dtypes().to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()

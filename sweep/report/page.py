"""Writes the report of a run: tables as CSV, figures as PNG and SVG, and a page in markdown and one in HTML.

The same journal gives the same bytes.
"""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from aesweep.report.figures.style import save, styled
from aesweep.report.formats.html.explorer import Explorer
from aesweep.report.formats.html.page import html_page
from aesweep.report.formats.markdown import markdown_page
from aesweep.report.rows.reader import read_run
from aesweep.report.sections.contents import Contents
from aesweep.storage.atomic_file import write_whole
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState


def write_report(folder: RunFolder | Path) -> Path:
    """Writes tables/*.csv, figures/*.png and *.svg, then report.html and report.md; returns the latter's path.

    At the end it removes files with these endings that an earlier report left in these two folders.

    Args:
        folder: the run. It may be unfinished; the report then says what is missing.

    Raises:
        JournalError: the journal is missing or damaged.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder.open(folder)
    state = RunState.read(folder.journal)
    run = read_run(state)
    with styled():
        contents = Contents(run, folder)
        for name, frame in contents.frames.items():
            write_whole(folder.tables / f"{name}.csv", _csv(frame))
        for drawing in contents.drawings:
            save(drawing, folder.figures)
    write_whole(folder.page, html_page(contents, Explorer(state), lambda name: _content(folder.figures / name)))
    write_whole(folder.report, markdown_page(contents))
    _remove_others(folder, folder.tables, {f"{name}.csv" for name in contents.frames}, (".csv",))
    names = {f"{drawing.name}{ending}" for drawing in contents.drawings for ending in (".png", ".svg")}
    _remove_others(folder, folder.figures, names, (".png", ".svg"))
    return folder.report


def _remove_others(folder: RunFolder, part: Path, names: set[str], endings: tuple[str, ...]) -> None:
    """Deletes files with the given endings directly in a part of the run, except those that are named."""
    if not part.resolve().is_relative_to(folder.root.resolve()):
        return
    for path in sorted(part.glob("*")):
        if path.suffix in endings and path.name not in names and path.is_file():
            path.unlink()


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _csv(frame: pd.DataFrame) -> str:
    buffer = io.StringIO()
    # After `convert_dtypes`, counts stay whole numbers in a column that lacks some.
    frame.convert_dtypes().to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()

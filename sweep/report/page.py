"""Writes the report of a run: its tables, its figures, and the pages that hold them together.

The same journal gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from aesweep.report.figures.style import styled
from aesweep.report.formats.format import Settings
from aesweep.report.formats.registry import DEFAULT_FORMATS, report_files
from aesweep.report.rows.origin import origin_of
from aesweep.report.rows.reader import read_run
from aesweep.report.sections.contents import Contents
from aesweep.storage.atomic_file import write_whole
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState

# Files with these endings that an earlier report left in these folders are removed.
CLEARED = {"tables": (".csv",), "figures": (".png", ".svg")}


def write_report(folder: RunFolder | Path) -> Path:
    """Writes tables/*.csv, figures/*.png and *.svg, then the files of each format; returns the path of report.md.

    At the end it removes files of these endings that an earlier report left in these two folders.

    Args:
        folder: the run. It may be unfinished; the report then says what is missing.

    Raises:
        JournalError: the journal is missing or damaged.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder.open(folder)
    state = RunState.read(folder.journal)
    written = set()
    with styled():
        for name, content in report_files(
            Contents(read_run(state), folder, origin_of(folder, state)), Settings(DEFAULT_FORMATS)
        ):
            write_whole(folder.root / name, content)
            written.add(name)
    for part, endings in CLEARED.items():
        _remove_others(folder, folder.root / part, written, endings)
    return folder.report


def _remove_others(folder: RunFolder, part: Path, names: set[str], endings: tuple[str, ...]) -> None:
    """Deletes files with the given endings directly in a part of the run, except those that are named."""
    if not part.resolve().is_relative_to(folder.root.resolve()):
        return
    for path in sorted(part.glob("*")):
        if path.suffix in endings and f"{part.name}/{path.name}" not in names and path.is_file():
            path.unlink()

"""Writes the report of a run: its tables, its figures, and the pages that hold them together.

The same journal gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence
from pathlib import Path

from aesweep.process.progress_bar import Follow, unfollowed
from aesweep.report.figures.style import styled
from aesweep.report.formats.registry import report_files, settings_of
from aesweep.report.manifest import Manifest, current_versions, parse_manifest
from aesweep.report.sections.contents import Contents
from aesweep.storage.atomic_file import write_whole
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState

# Files with these endings in these folders are a report's; of others, those that the manifest names.
CLEARED = {"tables": (".csv",), "figures": (".png", ".svg")}


def write_report(
    folder: RunFolder | Path,
    formats: Sequence[str] | None = None,
    width: str | None = None,
    follow: Follow = unfollowed,
) -> Path:
    """Writes tables/, figures/, the pages, and at last the manifest; returns the path of report.md.

    It removes files that an earlier report left, see `left_over`.

    Args:
        folder: the run. It may be unfinished; the report then says what is missing.
        formats, width: see `Settings`; those of the run's study unless given.
        follow: called before each file.

    Raises:
        JournalError: the journal is missing or damaged.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder.open(folder)
    follow("reading the journal, drawing figures", 0, None)
    state = RunState.read(folder.journal)
    written: dict[str, str] = {}
    with styled():
        contents = Contents(state, folder)
        settings = settings_of(contents.run, formats, width)
        for name, data in report_files(contents, settings, follow):
            write_whole(folder.root / name, data)
            written[name] = hashlib.sha256(data).hexdigest()
    for name in left_over(folder, _earlier(folder), written):
        (folder.root / name).unlink()
    write_whole(folder.manifest, Manifest(contents.origin, settings, current_versions(), written).text())
    return folder.report


def left_over(folder: RunFolder, manifest: Manifest | None, names: Container[str]) -> list[str]:
    """Returns the files of an earlier report that are none of this one's.

    These are all files with the endings of `CLEARED` directly in its folders, and those that an earlier report's
    manifest names. A paper that lies beside the tables is not among them.

    Args:
        folder: the run.
        manifest: that of the earlier report; None if it has none.
        names: the files of this report.
    """
    found = set(manifest.files if manifest else ())
    for part, endings in CLEARED.items():
        found |= {f"{part}/{path.name}" for path in (folder.root / part).glob("*") if path.suffix in endings}
    root = folder.root.resolve()
    return sorted(
        name
        for name in found
        if name not in names
        and (folder.root / name).is_file()
        and (folder.root / name).parent.resolve().is_relative_to(root)
    )


def _earlier(folder: RunFolder) -> Manifest | None:
    try:
        return parse_manifest(folder.manifest.read_text())
    except (OSError, ValueError):
        return None

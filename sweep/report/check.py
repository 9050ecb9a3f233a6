"""Checks whether a report is what its run's folder gives today, by making it again and comparing every byte."""

from __future__ import annotations

import dataclasses
import hashlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from aesweep.process.progress_bar import Follow, unfollowed
from aesweep.process.wording import plural
from aesweep.report.figures.style import WIDTHS_IN, styled
from aesweep.report.formats.registry import FORMATS, report_files
from aesweep.report.manifest import Manifest, current_versions, parse_manifest
from aesweep.report.page import left_over
from aesweep.report.rows.origin import Origin, origin_of, sha256_of_lines
from aesweep.report.sections.contents import Contents
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState


@dataclasses.dataclass
class Findings:
    """What a check has found, a line each.

    Attributes:
        differences: what is not what the run's folder gives today: changed, missing, left over, or of an earlier state.
        unconfirmed: files that nobody has changed, and that other versions made, so that their bytes tell nothing.
    """

    differences: list[str] = dataclasses.field(default_factory=list)
    unconfirmed: list[str] = dataclasses.field(default_factory=list)


def check_report(folder: RunFolder, follow: Follow = unfollowed) -> Findings:
    """Makes a run's report again, in memory, and compares it with the files that are there.

    Args:
        folder: the run.
        follow: called before each file.

    Raises:
        JournalError: the journal is missing or damaged.
    """
    found = Findings()
    root = shlex.quote(str(folder.root))
    again = f"`aesweep report {root}` makes it again"
    try:
        before = folder.manifest.read_text()
        manifest = parse_manifest(before)
        _check_settings(manifest)
    except FileNotFoundError:
        why = "missing, so the report was made by a version that wrote none, or not at all"
        found.differences.append(f"{folder.manifest.name}: {why}: {again}")
        return found
    except (OSError, ValueError) as error:
        found.differences.append(f"{folder.manifest.name}: cannot be read ({error}): {again}")
        return found
    state = RunState.read(folder.journal)
    origin, versions = origin_of(folder, state), current_versions()
    stale = list(_origin_differences(folder, manifest.origin, origin))
    found.differences += stale
    others = _other_versions(manifest.versions, versions)
    made: dict[str, str] = {}
    with styled():
        contents = Contents(state, folder)
        for name, data in report_files(contents, manifest.settings, follow):
            made[name] = hashlib.sha256(data).hexdigest()
            is_there = _sha256(folder.root / name)
            if is_there == made[name]:
                continue
            if is_there is None:
                found.differences.append(f"{name}: missing")
            elif is_there != manifest.files.get(name):
                found.differences.append(f"{name}: changed after it was written")
            elif stale:
                found.differences.append(f"{name}: of an earlier state of the run")
            elif others:
                found.unconfirmed.append(f"{name}: unchanged since it was made with {others}")
            else:
                found.differences.append(f"{name}: not what is made of the run's folder")
    found.differences += [
        f"{name}: left over, no part of this report" for name in left_over(folder, manifest, set(made))
    ]
    today = Manifest(origin, manifest.settings, versions, made)
    if not found.differences and not others and today.text() != before:
        found.differences.append(f"{folder.manifest.name}: changed after it was written")
    return found


def _check_settings(manifest: Manifest) -> None:
    unknown = [name for name in manifest.settings.formats if name not in FORMATS]
    if unknown or manifest.settings.width not in WIDTHS_IN:
        raise ValueError(f"it names {(*unknown, manifest.settings.width)[0]!r}, which this version cannot make")


def _origin_differences(folder: RunFolder, before: Origin, now: Origin) -> Iterator[str]:
    if (before.num_lines, before.journal_sha256) != (now.num_lines, now.journal_sha256):
        grown = now.num_lines - before.num_lines
        if grown > 0 and sha256_of_lines(folder.journal, before.num_lines) == before.journal_sha256:
            yield f"{folder.journal.name}: has {plural(grown, 'line')} more than when the report was made"
        else:
            yield f"{folder.journal.name}: not the one that the report was made from"
    for name in sorted({*before.pictures, *now.pictures}):
        if before.pictures.get(name) != now.pictures.get(name):
            yield f"{name}: not the one that the report was made from"


def _other_versions(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Names the versions that differ; empty if none does."""
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return ", ".join(f"{name} {before.get(name, 'unknown')} (now {now.get(name, 'none')})" for name in names)


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None

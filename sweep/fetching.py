"""A run brought home from where it was made: what is whole is kept, what is damaged or missing is said."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aesweep.errors import AesweepError
from aesweep.journal import read_journal
from aesweep.run_folder import RunFolder


def named_files(events: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """The files that a journal names, with the SHA-256 that it has of them: winners' checkpoints and pictures."""
    models: dict[str, dict[str, Any]] = {}
    winners: dict[tuple[str, ...], str | None] = {}
    for event in events:
        if event["kind"] == "row" and "checkpoint" in event:
            models[event["trial"]] = event["checkpoint"]
        elif event["kind"] == "retrained":
            yield event["checkpoint"]["file"], event["checkpoint"]["sha256"]
        elif event["kind"] == "pictures":
            yield event["file"], event["sha256"]
        elif event["kind"] == "cell_winner":  # after an extension there may be another
            winners[event["stage"], event["dataset"], str(event["cell"])] = event["trial"]
    for found in (models.get(trial) for trial in winners.values()):
        if found:
            yield found["file"], found["sha256"]


def check_run(root: Path) -> int:
    """Checks a fetched run against its own journal, whose every line has a checksum.

    A file that is not what the journal says is removed, so that the next fetch brings it again.

    Returns:
        How many files the journal names, all of them whole.

    Raises:
        AesweepError: files are missing or were damaged; JournalError: the journal itself is.
    """
    folder = RunFolder.open(root)
    wrong, num_files = [], 0
    for name, sha256 in named_files(read_journal(folder.journal)):
        num_files += 1
        path = folder.resolve(name)
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            path.unlink()
            wrong.append(f"{name} was damaged, and removed")
    if wrong:
        raise AesweepError(f"{root}: {'; '.join(wrong)}: fetch the run again")
    return num_files

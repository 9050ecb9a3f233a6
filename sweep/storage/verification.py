"""Verifies a run that was fetched from another machine: intact files are kept, damaged and missing ones reported."""

from __future__ import annotations

import hashlib
from pathlib import Path

from aesweep.process.errors import AesweepError
from aesweep.process.progress_bar import Follow, unfollowed
from aesweep.storage.named_files import named_files
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState


def check_run(root: Path, follow: Follow = unfollowed) -> int:
    """Checks the files of a fetched run against its journal, whose every line has a checksum.

    A file whose hash is not the recorded one is removed, so that the next fetch copies it again.

    Args:
        root: the run's folder.
        follow: called before each file.

    Returns:
        The number of files that the journal names, all of which are intact.

    Raises:
        AesweepError: files are missing or were damaged.
        JournalError: the journal itself is missing or damaged.
    """
    folder = RunFolder.open(root)
    wrong: list[str] = []
    files = list(named_files(RunState.read(folder.journal)))
    for number, (name, sha256) in enumerate(files):
        follow(f"verifying {name}", number, len(files))
        path = folder.resolve(name)
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            path.unlink()
            wrong.append(f"{name} was damaged, and removed")
    if wrong:
        raise AesweepError(f"{root}: {'; '.join(wrong)}: fetch the run again")
    return len(files)

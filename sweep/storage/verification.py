"""A run brought home from where it was made: what is whole is kept, what is damaged or missing is said."""

from __future__ import annotations

import hashlib
from pathlib import Path

from aesweep.process.errors import AesweepError
from aesweep.storage.event_reader import read_events
from aesweep.storage.named_files import named_files
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState


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
    for name, sha256 in named_files(RunState(read_events(folder.journal))):
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

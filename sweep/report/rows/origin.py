"""What a report is made from: the journal's lines and the pictures, each by its hash."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from pathlib import Path

from aesweep.process.errors import RunFolderError
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState


@dataclasses.dataclass(frozen=True)
class Origin:
    """The record that a report was made from.

    Attributes:
        num_lines: number of lines of the journal that were read; a run that goes on adds more.
        journal_sha256: hash of these lines.
        pictures: SHA-256 of each picture file that the journal names, by its path within the run's folder; a file that
            is missing has none.
    """

    num_lines: int
    journal_sha256: str
    pictures: dict[str, str | None]

    @property
    def pictures_sha256(self) -> str:
        """One hash for all pictures: that of the output of `sha256sum` on those that are there, sorted by path."""
        lines = (f"{sha256}  {name}\n" for name, sha256 in self.pictures.items() if sha256)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def origin_of(folder: RunFolder, state: RunState) -> Origin:
    """Returns the origin of a report on a state that was read from a run's folder."""
    names = sorted({event.file for event in state.pictures.values()})
    found = {name: _sha256(folder, name) for name in names}
    return Origin(len(state.events), sha256_of_lines(folder.journal, len(state.events)), found)


def sha256_of_lines(path: Path, num_lines: int) -> str:
    """Returns the hash of a file's first lines."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for line in itertools.islice(file, num_lines):
            digest.update(line)
    return digest.hexdigest()


def _sha256(folder: RunFolder, name: str) -> str | None:
    try:
        path = folder.resolve(name)
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, RunFolderError):
        return None

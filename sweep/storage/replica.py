"""A run's journal and files in an object store, never behind what the run itself relies on, and the way back.

A store cannot append, so the journal goes there in segments, each named by the byte at which it starts, and written
only if nobody has: whoever goes on with a run elsewhere takes the next name, and a driver that lost touch with the
world finds it taken and stops. No lock has to be let go of by somebody who may be dead.
"""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

from aesweep.process.errors import RecordingError, RunFolderError
from aesweep.storage.artifacts import Files, FolderFiles
from aesweep.storage.atomic_file import write_whole
from aesweep.storage.object_store import SEGMENTS, Storage
from aesweep.storage.run_folder import CHECKPOINTS, STATES, RunFolder
from aesweep.storage.s3_client import first_line


class Replica:
    """A run's journal and files in a storage, never behind what the run itself relies on.

    Args:
        folder: the run; its journal holds at least what the storage has.
        storage: of this run alone.

    Attributes:
        files: the run's, for its trials: in the folder and in the storage at once.

    Raises:
        RunFolderError: the storage holds another run, or more of this one than the folder, or what is no run.
    """

    def __init__(self, folder: RunFolder, storage: Storage):
        self._folder = folder
        self._storage = storage
        known = read_segments(storage)
        local = folder.journal.read_bytes() if folder.journal.exists() else b""
        if not local.startswith(known):
            raise RunFolderError(_differing(storage, folder.root, is_more=known.startswith(local)))
        if not known:
            _check_unused(storage)
        self._num_bytes = len(known)
        self._sent: dict[str, str] = {}
        self.files: Files = MirroredFiles(FolderFiles(folder.root.resolve()), storage)

    def send_journal(self) -> None:
        """Returns once the storage has every line of the journal.

        Raises:
            RunFolderError: another driver has gone on with the run.
            RecordingError: the storage cannot be reached, read or written.
        """
        try:
            self._send_segment()
        except OSError as error:
            parent = self._storage.url.rpartition("/")[0]
            goes_on = shlex.join(["aesweep", "resume", str(self._folder.root), "--storage", parent])
            place = f"{error.filename}: " if error.filename else ""
            raise RecordingError(
                f"the journal cannot be written to the run's storage: {place}{first_line(error)}; nothing is lost, as "
                f"{self._folder.root} holds it: when the storage can be written again, `{goes_on}` goes on with the run"
            ) from error

    def _send_segment(self) -> None:
        with open(self._folder.journal, "rb") as file:
            file.seek(self._num_bytes)
            content = file.read()
        content = content[: content.rfind(b"\n") + 1]
        if not content:
            return
        name = f"{SEGMENTS}/{self._num_bytes:015d}.jsonl"
        # A request that was sent twice finds its own first copy.
        if not self._storage.write_new(name, content) and self._storage.read(name) != content:
            raise RunFolderError(
                f"{self._storage.url}: another process has gone on with this run ({name} is not ours); this one stops, "
                f"and what it recorded since stays in {self._folder.root} alone"
            )
        self._num_bytes += len(content)

    def send_files(self) -> None:
        """Brings the storage's other files to what the folder holds, and removes what the folder no longer has."""
        found = {path.relative_to(self._folder.root).as_posix(): path for path in self._folder.root.rglob("*")}
        kept = {
            name: path
            for name, path in found.items()
            if path.is_file() and path != self._folder.journal and not any(part[0] == "." for part in name.split("/"))
        }
        for name, path in kept.items():
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if self._sent.get(name) != digest:
                self._storage.write(name, content)
                self._sent[name] = digest
        for name in self._storage.names():
            if not name.startswith(f"{SEGMENTS}/") and name not in kept:
                self._storage.remove(name)


class MirroredFiles:
    """Files in a folder, and at once in a storage too.

    Args:
        near: read and written first.
        far: the same again.
    """

    def __init__(self, near: Files, far: Storage):
        self._near, self._far = near, far

    def write(self, name: str, content: bytes) -> None:
        self._near.write(name, content)
        self._far.write(name, content)

    def read(self, name: str) -> bytes:
        return self._near.read(name)

    def names(self, folder: str) -> list[str]:
        return self._near.names(folder)

    def remove(self, name: str) -> None:
        self._near.remove(name)
        self._far.remove(name)


def _differing(storage: Storage, root: Path, is_more: bool) -> str:
    parent, _, name = storage.url.rpartition("/")
    fetch = shlex.join(["aesweep", "fetch", name, "--from", parent, "--runs", str(root.parent)])
    found, remedy = ("more of this run", f"`{fetch}` brings it here") if is_more else ("another run", "leave it there")
    return f"{storage.url} holds {found} than {root}: {remedy}, or give another --name"


def _check_unused(storage: Storage) -> None:
    """Raises RunFolderError where a place for a new run holds other files, which would be removed as the run's."""
    folders = (SEGMENTS, CHECKPOINTS, STATES, "pictures", "tables", "figures")
    files = ("study.yaml", "report.md")
    for name in storage.names():
        if name not in files and name.partition("/")[0] not in folders:
            raise RunFolderError(
                f"{storage.url} holds {name}, which is no part of a run: expected an empty place; "
                "give another --storage or --name"
            )


def read_segments(storage: Storage) -> bytes:
    """The journal as the storage has it.

    Raises:
        RunFolderError: a segment is missing.
    """
    parts: list[bytes] = []
    num_bytes = 0
    for name in storage.names(SEGMENTS):
        if name != f"{num_bytes:015d}.jsonl":
            raise RunFolderError(f"{storage.url}/{SEGMENTS}: expected a segment from byte {num_bytes}, found {name}")
        parts.append(storage.read(f"{SEGMENTS}/{name}"))
        num_bytes += len(parts[-1])
    return b"".join(parts)


def bring_run(storage: Storage, root: Path) -> None:
    """Brings a run from its storage into a folder; files that are here already, as the storage has them, stay.

    Raises:
        RunFolderError: there is no run, or the folder holds another.
    """
    journal = read_segments(storage)
    if not journal:
        raise RunFolderError(f"{storage.url} holds no run")
    folder = RunFolder(root)
    local = folder.journal.read_bytes() if folder.journal.exists() else b""
    if not journal.startswith(local):
        raise RunFolderError(f"{root} holds what {storage.url} does not: move it away, or give another --runs")
    for name in storage.names():
        if not name.startswith(f"{SEGMENTS}/"):
            write_whole(folder.resolve(name), storage.read(name))
    write_whole(folder.journal, journal)

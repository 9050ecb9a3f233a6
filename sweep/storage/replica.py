"""Replicates a run's journal and files to an object store, and restores a run from there.

The replica is never behind what the run itself relies on. A store cannot append, so the journal is written in segments,
each named by the byte at which it starts, and only if no segment of that name exists. A driver that continues the run
elsewhere takes the next name, and a driver that had lost its connection finds the name taken and stops. This excludes
a second writer without a lock, which a dead driver could not release.
"""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

from aesweep.process.errors import RecordingError, RunFolderError
from aesweep.process.progress_bar import Follow, unfollowed
from aesweep.storage.artifacts import Files, FolderFiles
from aesweep.storage.atomic_file import write_whole
from aesweep.storage.object_store import SEGMENTS, Storage
from aesweep.storage.run_folder import CHECKPOINTS, STATES, RunFolder
from aesweep.storage.s3_client import first_line


class Replica:
    """A run's journal and files in a storage, never behind what the run itself relies on.

    Args:
        folder: the run's folder; its journal must hold at least what the storage holds.
        storage: the place of this run alone.

    Attributes:
        files: the run's artifacts, for its trials; they are written to the folder and to the storage.

    Raises:
        RunFolderError: the storage holds another run, more of this run than the folder, or files that are not a run's.
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
        # A client that retries a request may find the segment that its own first attempt wrote.
        if not self._storage.write_new(name, content) and self._storage.read(name) != content:
            raise RunFolderError(
                f"{self._storage.url}: another process has gone on with this run ({name} is not ours); this one stops, "
                f"and what it recorded since stays in {self._folder.root} alone"
            )
        self._num_bytes += len(content)

    def send_files(self) -> None:
        """Updates the storage's other files to those of the folder, and removes those that the folder does not have."""
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
    """Files that are written to a folder and to a storage, and are read from the folder.

    Args:
        near: the files that are read, and written first.
        far: the storage, which gets every change after `near`.
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
    """Raises RunFolderError where the place of a new run holds other files, which `Replica.send_files` would remove."""
    folders = (SEGMENTS, CHECKPOINTS, STATES, "pictures", "tables", "figures")
    files = ("study.yaml", "report.md", "report.html", "report.manifest.json")
    for name in storage.names():
        if name not in files and name.partition("/")[0] not in folders:
            raise RunFolderError(
                f"{storage.url} holds {name}, which is no part of a run: expected an empty place; "
                "give another --storage or --name"
            )


def read_segments(storage: Storage) -> bytes:
    """Returns the journal as the storage holds it; empty if it holds none.

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


def bring_journal(storage: Storage, folder: RunFolder) -> None:
    """Brings what a storage holds of a journal beyond what `bring_run` or this function brought before.

    Raises:
        RunFolderError: a segment is missing, or the folder's journal is not a copy of the storage's.
    """
    local = folder.journal.read_bytes()
    content = local
    for name in storage.names(SEGMENTS):
        start = int(name.partition(".")[0])
        if start < len(local):
            continue
        if start != len(content):
            raise RunFolderError(f"{storage.url}/{SEGMENTS}: expected a segment from byte {len(content)}, found {name}")
        content += storage.read(f"{SEGMENTS}/{name}")
    if len(content) > len(local):
        write_whole(folder.journal, content)


def bring_run(storage: Storage, root: Path, follow: Follow = unfollowed) -> None:
    """Copies a run from its storage into a folder; files there that the storage does not hold stay.

    Args:
        storage: the place of this run alone.
        root: the run's folder.
        follow: called before the journal is read, and before each file.

    Raises:
        RunFolderError: the storage holds no run, or the folder holds another run or more of this one.
    """
    follow(RunFolder(root).journal.name, 0, None)
    journal = read_segments(storage)
    if not journal:
        raise RunFolderError(f"{storage.url} holds no run")
    folder = RunFolder(root)
    local = folder.journal.read_bytes() if folder.journal.exists() else b""
    if not journal.startswith(local):
        raise RunFolderError(f"{root} holds what {storage.url} does not: move it away, or give another --runs")
    names = [name for name in storage.names() if not name.startswith(f"{SEGMENTS}/")]
    for number, name in enumerate(names):
        follow(name, number, len(names))
        write_whole(folder.resolve(name), storage.read(name))
    write_whole(folder.journal, journal)

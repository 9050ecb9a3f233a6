"""The folder of a run: the paths of its files, its creation, and its lock against a second writer.

The journal is the record of a run; every other file can be made again from the journal, the checkpoints and the
pictures.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import filelock

from aesweep.process.errors import RunFolderError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
CHECKPOINTS, STATES = "checkpoints", "states"
_MAX_FIRST_LINE = 20_000_000  # a study of 1 MB and a reference of 1 MB, written out
_STATE = re.compile(r"(?P<trial>[^.].*)\.(?P<epoch>\d+)\.safetensors")


class RunFolder:
    """The paths of one run.

    Args:
        root: the run's folder; it need not exist yet.
    """

    def __init__(self, root: Path | str):
        self.root = Path(root)
        self.journal = self.root / "journal.jsonl"
        self.study = self.root / "study.yaml"
        self.lock = self.root / ".lock"
        self.holder = self.root / ".lock.holder"
        self.scratch = self.root / ".scratch"  # a file that names a driver's folder outside the run while that exists
        self.checkpoints = self.root / CHECKPOINTS
        self.pictures = self.root / "pictures"
        self.states = self.root / STATES
        self.report = self.root / "report.md"
        self.manifest = self.root / "report.manifest.json"
        self.page = self.root / "report.html"
        self.tables = self.root / "tables"
        self.figures = self.root / "figures"

    @classmethod
    def new(cls, runs: Path, name: str) -> RunFolder:
        """Returns the folder that a new run will have under `runs`, without creating it.

        Raises:
            RunFolderError: the name is not valid for a run, or a run or another file has it already.
        """
        if not NAME.fullmatch(name):
            raise RunFolderError(f"{name!r} cannot name a run: expected 1 to 64 of A-Z a-z 0-9 . _ -, no leading dot")
        folder = cls(runs / name)
        folder.check_free()
        return folder

    @classmethod
    def create(cls, runs: Path, name: str) -> RunFolder:
        """Creates the folder of a new run, and returns it; raises as `new` and `make`."""
        folder = cls.new(runs, name)
        folder.make()
        return folder

    def make(self) -> None:
        """Creates the folder of a new run, or takes over a folder in which nothing was recorded.

        Raises:
            RunFolderError: the folder holds a run or other files, or it cannot be created.
        """
        try:
            self.root.mkdir(parents=True)
        except FileExistsError:
            self.check_free()
        except OSError as error:
            raise RunFolderError(f"{self.root} cannot be created: {error.strerror}") from error
        for part in (self.checkpoints, self.pictures):
            part.mkdir(exist_ok=True)

    def check_free(self) -> None:
        """Raises RunFolderError if the folder exists and holds a run or other files."""
        if not os.path.lexists(self.root) or self.is_blank():
            return
        root = shlex.quote(str(self.root))
        if not self.journal.is_file():
            raise RunFolderError(f"{self.root} exists already, and is no run: give another --name")
        raise RunFolderError(
            f"{self.root} exists already: `aesweep resume {root}` goes on with it, "
            f"`aesweep report {root}` shows what it holds; or give another --name"
        )

    def is_blank(self) -> bool:
        """Returns whether this is the folder of a run in which nothing was recorded, and holds nothing else.

        A run that was refused or killed before its first event leaves such a folder. A torn first line counts as
        nothing, since the run had not relied on it yet.
        """
        if self.root.is_symlink() or not self.root.is_dir():
            return False
        empty = {self.checkpoints.name, self.pictures.name, self.states.name}
        notes = {self.lock.name, self.holder.name, self.scratch.name}
        if self.journal.is_file() and not self.journal.is_symlink():
            if self.journal.stat().st_size > _MAX_FIRST_LINE or b"\n" in self.journal.read_bytes():
                return False
            # The study is copied just before the first event; a kill may leave the copy under its temporary name.
            notes |= {self.journal.name, self.study.name}
            notes |= {path.name for path in self.root.glob(f".{self.study.name}.*")}
        for path in self.root.iterdir():
            if path.name in empty and path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
                continue
            if not (path.name in notes and path.is_file() and not path.is_symlink()):
                return False
        return True

    @contextlib.contextmanager
    def discarded_if_blank(self) -> Iterator[None]:
        """Removes the folder if the block fails before the run's first event; the caller holds the run's lock."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                if self.is_blank():
                    shutil.rmtree(self.root)
            raise

    @classmethod
    def open(cls, root: Path | str) -> RunFolder:
        """Returns an existing run's folder. Raises RunFolderError if it has no journal, or if a part is a link."""
        folder = cls(root)
        if not folder.journal.is_file():
            remedy = "; nothing was recorded in it, so `aesweep run` may take its name" if folder.is_blank() else ""
            raise RunFolderError(f"{folder.root} is not a run: expected {folder.journal.name} in it{remedy}")
        # Only files of the run may be written or removed, even if its folder came from another user.
        for part in vars(folder).values():
            if part != folder.root and part.is_symlink():
                raise RunFolderError(
                    f"{part} is a link: expected the run's own; put what it leads to in its place, if that is the run's"
                )
        return folder

    def resolve(self, relative: str) -> Path:
        """Returns the path of a file that the journal names. Raises RunFolderError if it lies outside the run."""
        path = (self.root / relative).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise RunFolderError(f"{relative!r} lies outside the run {self.root}")
        return path

    def lost(self, checkpoints: dict[str, dict[str, Any]]) -> dict[str, str]:
        """Returns which of the recorded files are missing or not as they were written.

        Args:
            checkpoints: maps any key to a mapping with `file` and `sha256`.

        Returns:
            For each such file, its key and the reason.
        """
        found = {}
        for key, checkpoint in checkpoints.items():
            try:
                content = self.resolve(checkpoint["file"]).read_bytes()
            except OSError as error:
                found[key] = f"{checkpoint['file']} cannot be read: {error.strerror}"
                continue
            if hashlib.sha256(content).hexdigest() != checkpoint["sha256"]:
                found[key] = f"{checkpoint['file']} is not what was written"
        return found

    def discard_states(self, keep: Container[str] = ()) -> None:
        """Removes the states from which killed trainings continue, except those of the trials in `keep`.

        The folder of states is removed once it is empty.
        """
        for path in self.states.glob("*") if self.states.is_dir() else ():
            match = _STATE.fullmatch(path.name)
            if match is None or match["trial"] not in keep:
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.states.rmdir()

    @contextlib.contextmanager
    def one_writer(self) -> Iterator[str | None]:
        """Holds the run's lock, which excludes a second writer.

        Yields:
            The name of the earlier holder if it ended without releasing the lock properly, else None.

        Raises:
            RunFolderError: another process holds the lock; the message names it.
        """
        holder = self.holder
        lock = filelock.FileLock(self.lock)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            name = holder.read_text() if holder.exists() else "another process"
            raise RunFolderError(f"{self.root} is being written by {name}: wait for it, or end it first") from error
        # The system releases the lock of a dead process, so a name that is left behind is that of a dead holder.
        gone = holder.read_text() if holder.exists() else None
        try:
            holder.write_text(f"process {os.getpid()} on {os.uname().nodename}")
            yield gone
        finally:
            holder.unlink(missing_ok=True)
            lock.release()


def checkpoint_name(trial: str) -> str:
    """Returns the name of the file with a trial's trained model."""
    return f"{trial}.safetensors"


def state_name(trial: str, epoch: int) -> str:
    """Returns the name of the file with a trial's state after an epoch, from which the trial can continue."""
    return f"{trial}.{epoch}.safetensors"


def states_among(names: Iterable[str], trial: str) -> list[tuple[int, str]]:
    """Returns those of the names that are states of a trial, as (epoch, name), newest first."""
    matches = (_STATE.fullmatch(name) for name in names)
    return sorted(((int(m["epoch"]), m[0]) for m in matches if m and m["trial"] == trial), reverse=True)


def state_files(folder: Path, trial: str) -> list[tuple[int, Path]]:
    """Returns the files in a folder that are states of a trial, as (epoch, path), newest first."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return [(epoch, folder / name) for epoch, name in states_among(names, trial)]

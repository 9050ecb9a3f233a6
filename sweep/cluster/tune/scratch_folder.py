"""Ray's own folder on this machine: new for every driver, gone with it, and cleared away after one that was killed.

Nothing in it is ever read: what a run needs lies in the run's folder. Imports no Ray.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from aesweep.process.errors import AesweepError

PREFIX = "aesweep-"
# What a socket of Ray (2.60) is called in its folder at the longest, by the largest process number that Linux gives.
LONGEST_SOCKET = f"session_2026-01-01_00-00-00_000000_{2**22}/sockets/plasma_store"
MAX_SOCKET_BYTES = 107 if sys.platform == "linux" else 103  # of a path: sun_path has room for a 0 at its end
_PLAIN = re.compile(r"[A-Za-z0-9_./+@%=,-]+")


class ScratchFolder:
    """A new folder, of which the run keeps a note until it is removed.

    Args:
        note: a file of the run, which this process holds against other writers: whoever wrote the note is gone, and the
            folder that it names is removed, if it is one of ours.

    Attributes:
        path: the folder.
    """

    def __init__(self, note: Path):
        self._note = note
        with contextlib.suppress(OSError, ValueError):
            remove_left_behind(Path(note.read_text(errors="strict").strip()))
        self.path = new_folder()
        try:
            note.write_text(str(self.path))
        except OSError:
            self.remove()
            raise

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._note.unlink(missing_ok=True)


def new_folder() -> Path:
    """Makes a folder for Ray. Raises AesweepError where none can be made."""
    try:
        return Path(tempfile.mkdtemp(prefix=PREFIX, dir=_parent()))
    except OSError as error:
        raise AesweepError(
            f"{_parent()}: a folder for Ray's temporary files cannot be made in it: {error.strerror}; set TMPDIR "
            f"to a folder that can be written, whose path has at most {_room()} bytes"
        ) from error


def remove_left_behind(path: Path) -> bool:
    """Removes a folder that `ScratchFolder` made in a process that is gone; whether it was one.

    A note may hold anything, and the folder for temporary files is everyone's. Only a folder of this user's goes, not
    a link, with our prefix, right in a folder where we make them. What is inside is not followed either
    (`shutil.rmtree`).
    """
    if not path.name.startswith(PREFIX) or str(path.parent) not in {tempfile.gettempdir(), _parent()}:
        return False
    try:
        found = os.lstat(path)
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return False
    shutil.rmtree(path, ignore_errors=True)
    return True


def _parent() -> str:
    """Where folders are made: the user's choice, unless Ray's sockets would not fit, or Ray might misread its name."""
    chosen = tempfile.gettempdir()
    fits = len(os.fsencode(chosen)) <= _room() and _PLAIN.fullmatch(chosen)
    return chosen if fits else "/tmp"  # noqa: S108


def _room() -> int:
    """The bytes that are left for the path of the folder in which ours is made."""
    return MAX_SOCKET_BYTES - len(f"/{PREFIX}01234567/{LONGEST_SOCKET}")  # mkdtemp adds eight characters

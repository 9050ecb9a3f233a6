"""Ray's temporary folder on this machine: one per driver, removed with it, or by the next driver if it was killed.

Nothing in it is ever read: what a run needs lies in the run's folder. The module does not import Ray.
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
# The longest path of a socket of Ray (2.60) in its folder, with the largest process id that Linux assigns.
LONGEST_SOCKET = f"session_2026-01-01_00-00-00_000000_{2**22}/sockets/plasma_store"
MAX_SOCKET_BYTES = 107 if sys.platform == "linux" else 103  # of a path: sun_path also holds a final 0
_PLAIN = re.compile(r"[A-Za-z0-9_./+@%=,-]+")


class ScratchFolder:
    """A new folder, whose path is noted in a file of the run until the folder is removed.

    Args:
        note: the file for the path, in a run that this process has locked. A process that left a note there has
            therefore ended, and the folder that the note names is removed, if `remove_left_behind` finds it safe.

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
    """Creates a folder for Ray and returns its path. Raises AesweepError where it cannot be created."""
    try:
        return Path(tempfile.mkdtemp(prefix=PREFIX, dir=_parent()))
    except OSError as error:
        raise AesweepError(
            f"{_parent()}: a folder for Ray's temporary files cannot be made in it: {error.strerror}; set TMPDIR "
            f"to a folder that can be written, whose path has at most {_room()} bytes"
        ) from error


def remove_left_behind(path: Path) -> bool:
    """Removes a folder that `ScratchFolder` created in a process that has ended.

    A note may hold anything, and all users share the folder for temporary files. Therefore only a folder of this user
    with our prefix, directly in a folder where we create them, is removed, and no link; links inside it are not
    followed either (`shutil.rmtree`).

    Returns:
        Whether the path was such a folder.
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
    """Returns where folders are created: TMPDIR, unless it is too long for Ray's sockets or Ray might misread it."""
    chosen = tempfile.gettempdir()
    fits = len(os.fsencode(chosen)) <= _room() and _PLAIN.fullmatch(chosen)
    return chosen if fits else "/tmp"  # noqa: S108


def _room() -> int:
    """Returns how many bytes the path of the folder in which ours is created may have."""
    return MAX_SOCKET_BYTES - len(f"/{PREFIX}01234567/{LONGEST_SOCKET}")  # mkdtemp adds eight characters

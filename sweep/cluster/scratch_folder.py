"""Ray's own folder on this machine: new for every driver, gone with it, and cleared away after one that was killed.

Nothing in it is ever read: what a run needs lies in the run's folder. Imports no Ray.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

PREFIX = "aesweep-"
MAX_TEMPORARY_PATH = 30  # characters; Ray's sockets lie in its folder, and a socket's path has room for 100 or so


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
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_parent()))
        try:
            note.write_text(str(self.path))
        except OSError:
            self.remove()
            raise

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._note.unlink(missing_ok=True)


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
    return tempfile.gettempdir() if len(tempfile.gettempdir()) <= MAX_TEMPORARY_PATH else "/tmp"  # noqa: S108

"""The files of a run as its trials see them: by name, wherever the trial runs and wherever the run lies.

A name is a path with slashes, relative to the run ("states/architecture-mnist-0003.4.safetensors"). Training knows this
protocol alone; on a cluster the names lead to the driver's node, and from there to the run's storage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from aesweep.storage.atomic_file import write_whole


class Files(Protocol):
    """Where trials leave what outlives them. All methods raise OSError where the files cannot be reached."""

    def write(self, name: str, content: bytes) -> None:
        """Writes a file whole, or not at all."""

    def read(self, name: str) -> bytes:
        """A file's content."""

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, without it; none where there is no such folder."""

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""


class FolderFiles:
    """Files in a folder of this machine.

    Args:
        root: what names are relative to.
    """

    def __init__(self, root: Path | str = "."):
        self._root = Path(root)

    def write(self, name: str, content: bytes) -> None:
        write_whole(self._root / name, content)

    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()

    def names(self, folder: str) -> list[str]:
        path = self._root / folder
        return sorted(found.name for found in path.iterdir()) if path.is_dir() else []

    def remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)

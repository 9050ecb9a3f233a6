"""Access to a run's artifacts by name, wherever a trial runs and wherever the run is stored.

A name is a path with slashes, relative to the run ("states/architecture-mnist-0003.4.safetensors"). Training uses this
protocol alone; on a cluster, files go to the driver's node, and from there to the run's storage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from aesweep.storage.atomic_file import write_whole


class Files(Protocol):
    """The files that outlive their trials. All methods raise OSError where the files cannot be reached."""

    def write(self, name: str, content: bytes) -> None:
        """Writes a file whole, or not at all."""

    def read(self, name: str) -> bytes:
        """Returns a file's content."""

    def names(self, folder: str) -> list[str]:
        """Returns the names of the files in a folder, relative to it; an empty list if the folder does not exist."""

    def remove(self, name: str) -> None:
        """Removes a file if it exists."""


class FolderFiles:
    """Files in a folder of this machine.

    Args:
        root: the folder to which names are relative.
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

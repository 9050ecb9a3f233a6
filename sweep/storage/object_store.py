"""Keeps files under a URL, so that a run outlives its machine: on S3, or on another store that fsspec supports."""

from __future__ import annotations

import contextlib
import errno
import inspect
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from aesweep.process.errors import RunFolderError
from aesweep.storage.atomic_file import write_new_whole, write_whole
from aesweep.storage.s3_client import first_line, is_conflict, is_taken, patient_client

SEGMENTS = "journal"


class Storage:
    """The files under a URL. Listings are never cached, since other processes write there too.

    Args:
        url: a URL such as s3://bucket/runs/mnist, or a folder.

    Raises:
        RunFolderError: fsspec does not support the URL, or its store cannot write a file on condition that none exists.
        OSError: the store does not answer.
    """

    def __init__(self, url: str):
        import fsspec

        self.url = url
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise RunFolderError(f"{url}: expected a folder or a URL such as s3://bucket/runs: {error}") from error
        self._is_local = "file" in _protocols(self._fs)
        write = getattr(type(self._fs), "_pipe_file", None) or type(self._fs).pipe_file
        is_own = write.__qualname__.split(".")[0] not in ("AbstractFileSystem", "AsyncFileSystem")
        if not self._is_local and not (is_own and "mode" in inspect.signature(write).parameters):
            raise RunFolderError(
                f"{url}: such a store cannot write a file only where there is none, so it cannot keep two writers "
                "apart: use S3, Google Cloud Storage, or a folder of a shared disk"
            )
        if "s3" in _protocols(self._fs):
            self._fs = patient_client(url)

    def write(self, name: str, content: bytes) -> None:
        if self._is_local:
            write_whole(Path(self._path(name)), content)
        else:
            self._put(name, content)

    def write_new(self, name: str, content: bytes) -> bool:
        """Writes a file unless it exists, atomically among concurrent writers, and returns whether it was written."""
        try:
            if self._is_local:
                write_new_whole(Path(self._path(name)), content)
            else:
                self._put(name, content, mode="create")
        except OSError as error:
            if is_taken(error):
                return False
            raise
        return True

    def _put(self, name: str, content: bytes, **how: str) -> None:
        pauses_s = [0.1, 0.3, 1.0, 3.0]
        while True:
            try:
                with self._reaching(name):
                    self._fs.pipe_file(self._path(name), content, **how)
                return
            except OSError as error:
                if not pauses_s or not is_conflict(error):
                    raise
            time.sleep(pauses_s.pop(0))

    def read(self, name: str) -> bytes:
        with self._reaching(name):
            return self._fs.cat_file(self._path(name))

    def names(self, folder: str = "") -> list[str]:
        """Returns the names of all files below a folder, relative to it."""
        self._fs.invalidate_cache()  # some stores cache listings in spite of use_listings_cache=False
        path = self._path(folder).rstrip("/")
        with self._reaching(folder):
            found = self._fs.find(path)
        # A file whose name is the folder's own is not below it.
        return sorted(below[len(path) :].lstrip("/") for below in found if below != path)

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError), self._reaching(name):
            self._fs.rm_file(self._path(name))

    def clear(self) -> None:
        """Removes all files, and the folder itself where the store has folders."""
        with self._reaching():
            self._fs.rm(self._root, recursive=True)

    @contextlib.contextmanager
    def _reaching(self, name: str = "") -> Iterator[None]:
        """Turns any exception of the store's library into an OSError, as a disk would raise, with the file's URL."""
        try:
            yield
        except Exception as error:
            if self._is_local and isinstance(error, OSError):
                raise
            # OSError's constructor returns the subclass that belongs to the number.
            numbers = {FileNotFoundError: errno.ENOENT, FileExistsError: errno.EEXIST, PermissionError: errno.EACCES}
            number = next((number for kind, number in numbers.items() if isinstance(error, kind)), errno.EIO)
            place = f"{self.url}/{name}" if name else self.url
            # The cause is kept, since it holds the server's response.
            raise OSError(number, f"{place}: {first_line(error)}") from error.__cause__ or error

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root


def try_storage(url: str) -> None:
    """Checks that a storage can keep runs: writes and reads a probe file there as a run would, and removes it again.

    Args:
        url: URL of the folder of runs.

    Raises:
        RunFolderError: the storage cannot keep runs.
        OSError: the storage cannot be reached, read or written.
    """
    storage = Storage(f"{url.rstrip('/')}/.doctor-{uuid.uuid4().hex}")
    name = f"{SEGMENTS}/0"
    is_first = storage.write_new(name, b"probe")
    try:
        if not is_first or storage.write_new(name, b"probe") or storage.read(name) != b"probe":
            raise RunFolderError(f"{url}: wrote a file where there is one already, so it cannot keep two writers apart")
    finally:
        storage.clear()


def _protocols(fs: object) -> tuple[str, ...]:
    found = fs.protocol
    return (found,) if isinstance(found, str) else tuple(found)

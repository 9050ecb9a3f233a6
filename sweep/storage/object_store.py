"""Files under a URL beside the run's folder, so that they outlive the machine: S3, or whatever else fsspec reaches."""

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
    """Files under a URL, as the store has them now: others write there too, so no listing of it is remembered.

    Args:
        url: such as s3://bucket/runs/mnist, or a folder.

    Raises:
        RunFolderError: the URL is none that fsspec knows, or its store cannot write a file only where there is none.
        OSError: nobody answers there.
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
        """Writes a file unless there is one, whoever else tries at the same time; returns whether it did."""
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
        """The names of all files below a folder, relative to it."""
        self._fs.invalidate_cache()  # of a store that remembers listings whatever it is told
        path = self._path(folder).rstrip("/")
        with self._reaching(folder):
            found = self._fs.find(path)
        return sorted(below[len(path) :].lstrip("/") for below in found if below != path)  # a file of that name is none

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError), self._reaching(name):
            self._fs.rm_file(self._path(name))

    def clear(self) -> None:
        """Removes all there is, and the folder where a store has any."""
        with self._reaching():
            self._fs.rm(self._root, recursive=True)

    @contextlib.contextmanager
    def _reaching(self, name: str = "") -> Iterator[None]:
        """What a store's own library raises, as the OSError that a full or lost disk raises, with the file's URL."""
        try:
            yield
        except Exception as error:
            if self._is_local and isinstance(error, OSError):
                raise
            # OSError makes of the number the class that goes with it.
            numbers = {FileNotFoundError: errno.ENOENT, FileExistsError: errno.EEXIST, PermissionError: errno.EACCES}
            number = next((number for kind, number in numbers.items() if isinstance(error, kind)), errno.EIO)
            place = f"{self.url}/{name}" if name else self.url
            # What the server's answer was goes with it.
            raise OSError(number, f"{place}: {first_line(error)}") from error.__cause__ or error

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root


def try_storage(url: str) -> None:
    """Does with a storage of runs what a run would, and removes it again.

    Raises:
        RunFolderError: it cannot keep runs.
        OSError: it cannot be reached, read or written.
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

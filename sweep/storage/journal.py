"""The run's record: an append-only file of JSON lines, each with its number and a checksum.

Everything that matters about a run is read back from its journal, and the driver alone writes it. A line holds `seq`
(0, 1, 2, ...), `kind`, `time` (unix seconds) and the kind's own fields (docs/JOURNAL.md lists them); `crc` is the
CRC-32 of the line without it. JSON has no NaN, so a number that is not finite is null.

A torn last line is what a kill in mid-write leaves: readers ignore it, and a writer cuts it off. Damage anywhere else
raises an error that names the line.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shlex
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aesweep.process.errors import JournalError, RecordingError

# Many rows arrive each second, and an epoch whose row is lost can be trained again. Events of these kinds are therefore
# synced in batches, by the first append after this time.
SYNC_INTERVAL_S = 0.5
BATCHED_KINDS = frozenset({"row", "decision", "trial_created", "retraining_created", "baseline"})


class Journal:
    """The only writer of a journal.

    Args:
        path: the file, which is created if it is missing. An existing file is checked whole and continued; a torn last
            line is cut off.
        after_sync: called whenever events have reached the disk, before anything relies on them.

    Raises:
        JournalError: an existing file is damaged.
    """

    def __init__(self, path: Path, after_sync: Callable[[], None] | None = None):
        self._path = path
        self._after_sync = after_sync
        self._seq = 0
        if path.exists():
            events, num_bytes = _parse(path)
            self._seq = len(events)
            os.truncate(path, num_bytes)
        # Unbuffered, so that a line whose write failed is not written later, after the failure was reported.
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - held for the run
        self._synced_at = time.monotonic()

    def append(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Appends one event and returns it as a reader will see it.

        Kinds in `BATCHED_KINDS` are synced at most every `SYNC_INTERVAL_S`; any other kind is synced before this
        method returns.

        Raises:
            RecordingError: the disk is full or gone, or `after_sync` raised it; what was appended before is safe.
        """
        event = {"seq": self._seq, "kind": kind, "time": round(time.time(), 3), **_finite(fields)}
        try:
            self._write(_line(event))
            self._seq += 1
            if kind not in BATCHED_KINDS or time.monotonic() - self._synced_at > SYNC_INTERVAL_S:
                self.sync()
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            remedy = "make room on that disk" if is_full else "once that folder can be written"
            goes_on = shlex.join(["aesweep", "resume", str(self._path.parent)])
            raise RecordingError(
                f"{self._path}: cannot be written: {error.strerror or error}; what is recorded is safe: {remedy}, "
                f"{'then ' * is_full}go on with `{goes_on}`"
            ) from error
        return event

    def _write(self, line: bytes) -> None:
        end = os.fstat(self._file.fileno()).st_size
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError:
            os.ftruncate(self._file.fileno(), end)  # a partial line would be damage once another line follows it
            raise

    def sync(self) -> None:
        """Returns once all events are on disk."""
        os.fsync(self._file.fileno())
        if self._after_sync is not None:
            self._after_sync()
        self._synced_at = time.monotonic()

    def close(self) -> None:
        if not self._file.closed:
            try:
                self.sync()
            finally:
                self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, RecordingError):
            self._file.close()  # another sync would wait a second time for a disk or a storage that is gone
        else:
            self.close()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Returns all events in order; a torn last line is ignored.

    Raises:
        JournalError: the file is missing, or a line before the last is damaged or out of order.
    """
    return _parse(Path(path))[0]


def _line(event: dict[str, Any]) -> bytes:
    text = json.dumps(event, separators=(",", ":"), allow_nan=False)
    return f'{text[:-1]},"crc":"{zlib.crc32(text.encode()):08x}"}}\n'.encode()


def _parse(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Returns the events and the number of bytes of their lines, without a torn last line."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path}: the journal cannot be read: {error.strerror}") from error
    return parse_lines(path, data)


def parse_lines(path: Path, data: bytes, num_before: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Returns the events in bytes of a journal and the number of bytes of their lines, without a torn last line.

    Args:
        path: the journal, for messages.
        data: bytes from the beginning of a line.
        num_before: number of lines before these bytes.

    Raises:
        JournalError: a line before the last is damaged or out of order.
    """
    events: list[dict[str, Any]] = []
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        if end < 0:
            break
        event = _event(data[start:end])
        number = num_before + len(events)
        if event is None or event.get("seq") != number:
            raise JournalError(
                f"{path}, line {number + 1}: expected event {number} with a valid checksum, found "
                f"{'a damaged line' if event is None else 'event ' + str(event.get('seq'))}; "
                "the record cannot be trusted: restore the file from a copy"
            )
        events.append(event)
        start = end + 1
    return events, start


def _event(line: bytes) -> dict[str, Any] | None:
    body, found, checksum = line.rpartition(b',"crc":"')
    if not found or f'{zlib.crc32(body + b"}"):08x}"}}'.encode() != checksum:
        return None
    try:
        return json.loads(body + b"}")
    except ValueError:
        return None


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value

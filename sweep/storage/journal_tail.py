"""Reads a journal that grows, each event once: one that a run appends to, or that `fetch` replaces by a longer one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aesweep.process.errors import JournalError
from aesweep.storage.journal import parse_lines


class JournalTail:
    """The end of a journal.

    Args:
        path: the journal; it is opened anew for each reading, since a copy may be replaced.
    """

    def __init__(self, path: Path):
        self._path = path
        self._num_events = 0
        self._num_bytes = 0
        self._last_line = b""  # which must still stand where it stood

    def read(self) -> list[dict[str, Any]]:
        """Returns the events that were recorded since the last call; a line that is not whole yet comes later.

        Raises:
            JournalError: the journal cannot be read, is damaged, or does not go on from what was read before.
        """
        try:
            with open(self._path, "rb") as file:
                file.seek(self._num_bytes - len(self._last_line))
                data = file.read()
        except OSError as error:
            raise JournalError(f"{self._path}: the journal cannot be read: {error.strerror}") from error
        if not data.startswith(self._last_line):
            raise JournalError(
                f"{self._path}: expected the journal to go on after line {self._num_events}, found another one in its "
                "place: start again"
            )
        data = data[len(self._last_line) :]
        events, num_bytes = parse_lines(self._path, data, self._num_events)
        if events:
            self._last_line = data[:num_bytes].splitlines(keepends=True)[-1]
            self._num_events += len(events)
            self._num_bytes += num_bytes
        return events

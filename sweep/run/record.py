"""A run's record under the hand of the one process that writes it: each event reaches all who have to know of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from aesweep.run.callbacks.callback import Callback
from aesweep.run.callbacks.retention import Retention
from aesweep.search.replay import missing
from aesweep.storage.artifacts import Files, FolderFiles
from aesweep.storage.journal import Journal
from aesweep.storage.replica import Replica
from aesweep.storage.run_folder import RunFolder


class Record:
    """The journal, opened; in a `with` block, closed at its end.

    Args:
        folder: the run's, held against other writers.
        events: what the journal holds; none where the run is new.
        callbacks: follow the events.
        replica: where the run is kept as well; None for its folder alone.

    Attributes:
        events: what the journal holds by now.
        files: of the run, for its trials.
    """

    def __init__(
        self,
        folder: RunFolder,
        events: Iterable[dict[str, Any]],
        callbacks: Sequence[Callback] = (),
        replica: Replica | None = None,
    ):
        self.events = list(events)
        self.files: Files = replica.files if replica else FolderFiles(folder.root.resolve())
        self._folder = folder
        self._replica = replica
        self._journal = Journal(folder.journal, replica.send_journal if replica else None)
        self._callbacks = [*callbacks, Retention(self.files, self.events)]

    def __enter__(self) -> Record:
        self._journal.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.__exit__(kind, error, trace)

    def add(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Records an event."""
        if self._replica and kind in ("run_started", "pictures"):
            self._replica.send_files()  # before the record speaks of them
        event = self._journal.append(kind, **fields)
        self.events.append(event)
        for callback in self._callbacks:
            callback.follow(event)
        return event

    def add_missing(self, expected: Iterable[tuple[str, dict[str, Any]]], known: Iterable[dict[str, Any]]) -> None:
        """Records those of the events, as (kind, fields), that are not among the known ones."""
        for kind, fields in missing(expected, list(known), self._folder.journal):
            self.add(kind, **fields)

    def take_up(self, events: list[dict[str, Any]]) -> None:
        """Tells the callbacks what earlier sessions recorded of what is taken up now."""
        for callback in self._callbacks:
            callback.take_up(events)

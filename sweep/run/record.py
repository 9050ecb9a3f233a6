"""A run's record under the hand of the one process that writes it: each event reaches all who have to know of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType

from aesweep.run.callbacks.callback import Callback
from aesweep.run.callbacks.retention import Retention
from aesweep.search.replay import missing
from aesweep.storage.artifacts import Files, FolderFiles
from aesweep.storage.event import Event
from aesweep.storage.event_reader import parse_event
from aesweep.storage.events import Pictures, RunStarted
from aesweep.storage.journal import Journal
from aesweep.storage.replica import Replica
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState


class Record:
    """The journal, opened; in a `with` block, closed at its end.

    Args:
        folder: the run's, held against other writers.
        state: what the journal holds; a new one where the run is new.
        callbacks: follow the events.
        replica: where the run is kept as well; None for its folder alone.

    Attributes:
        state: what the journal holds by now.
        files: of the run, for its trials.
    """

    def __init__(
        self,
        folder: RunFolder,
        state: RunState,
        callbacks: Sequence[Callback] = (),
        replica: Replica | None = None,
    ):
        self.state = state
        self.files: Files = replica.files if replica else FolderFiles(folder.root.resolve())
        self._folder = folder
        self._replica = replica
        self._journal = Journal(folder.journal, replica.send_journal if replica else None)
        self._callbacks = [*callbacks, Retention(self.files, state.events)]

    def __enter__(self) -> Record:
        self._journal.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.__exit__(kind, error, trace)

    def add(self, event: Event) -> None:
        """Records an event."""
        if self._replica and isinstance(event, (RunStarted, Pictures)):
            self._replica.send_files()  # before the record speaks of them
        # As a reader will see it: with its number, and None for what is not finite.
        recorded = parse_event(self._journal.append(event.kind, **event.fields()))
        self.state.apply(recorded)
        for callback in self._callbacks:
            callback.follow(recorded)

    def add_missing(self, expected: Iterable[Event], known: Iterable[Event]) -> None:
        """Records those of the events that are not among the known ones."""
        for event in missing(expected, list(known), self._folder.journal):
            self.add(event)

    def take_up(self, events: Sequence[Event]) -> None:
        """Tells the callbacks what earlier sessions recorded of what is taken up now."""
        for callback in self._callbacks:
            callback.take_up(events)

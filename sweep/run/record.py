"""The record of a run in the one process that writes it: each event goes to the journal, the state and callbacks."""

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
    """The journal of a run, with what follows its events. Its `with` block opens the journal and closes it.

    Args:
        folder: the run's folder, locked against other writers.
        state: what the journal holds; an empty state for a new run.
        callbacks: receive every event.
        replica: copy of the run in a storage; None if the run is kept in its folder alone.

    Attributes:
        state: what the journal holds by now.
        files: the run's files, for its trials to read and write.
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
        """Appends an event to the journal, applies it to the state and passes it to the callbacks."""
        if self._replica and isinstance(event, (RunStarted, Pictures)):
            self._replica.send_files()  # the replica holds files before an event names them
        # The event is read back, so that callbacks see what a reader sees: its number, and None for non-finite values.
        recorded = parse_event(self._journal.append(event.kind, **event.fields()))
        self.state.apply(recorded)
        for callback in self._callbacks:
            callback.follow(recorded)

    def add_missing(self, expected: Iterable[Event], known: Iterable[Event]) -> None:
        """Records those of the expected events that are not among the known ones."""
        for event in missing(expected, list(known), self._folder.journal):
            self.add(event)

    def take_up(self, events: Sequence[Event]) -> None:
        """Passes to the callbacks what earlier sessions recorded of the step that is taken up now."""
        for callback in self._callbacks:
            callback.take_up(events)

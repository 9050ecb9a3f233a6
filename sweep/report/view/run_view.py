"""What the server shows: the page as of now, and what the run recorded after an event."""

from __future__ import annotations

from aesweep.report.figures.style import styled
from aesweep.report.formats.html.explorer import Explorer
from aesweep.report.formats.html.page import html_page
from aesweep.report.formats.html.policy import json_text
from aesweep.report.sections.contents import Contents
from aesweep.storage.event_reader import parse_event
from aesweep.storage.journal_tail import JournalTail
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState


class RunView:
    """A run that may go on while it is looked at; nothing is written to its folder.

    `page` and the other methods may be called from two threads, since `page` reads the journal for itself.

    Args:
        folder: the run.
    """

    def __init__(self, folder: RunFolder):
        self._folder = folder
        self._tail = JournalTail(folder.journal)
        self._state = RunState()
        self._explorer = Explorer(self._state)
        self._page: tuple[int, str] | None = None

    def updates(self, after: int) -> str:
        """Returns what was recorded after an event, as the JSON that `assets/live.js` takes.

        Raises:
            JournalError: as `JournalTail.read`.
        """
        self.read()
        return str(json_text(self._explorer.values(after)))

    def read(self) -> None:
        """Reads what was recorded since the last time."""
        for values in self._tail.read():
            self._state.apply(parse_event(values))
        self._explorer.update()

    def page(self) -> str:
        """Returns the page, with figures drawn from the journal as it is now.

        Raises:
            JournalError: the journal is missing or damaged.
        """
        state = RunState.read(self._folder.journal)
        if self._page is None or self._page[0] != len(state.events):
            with styled():
                contents = Contents(state, self._folder)
                self._page = len(state.events), html_page(contents, Explorer(state), is_live=True)
        return self._page[1]

"""The progress of one long piece of work on stderr: a bar on a terminal, else a line every few seconds."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

LINE_INTERVAL_S = 5.0


class ProgressBar:
    """Shows how much of some work is done. Work that takes less than `LINE_INTERVAL_S` leaves no line.

    Args:
        console: where to write; rich honours NO_COLOR and knows whether it is a terminal.
        quiet: write nothing.
    """

    def __init__(self, console: Console, quiet: bool = False):
        self._console = console
        self._quiet = quiet
        self._bar: Progress | None = None
        self._title, self._done, self._total = "", 0, 0
        self._spoke_at = 0.0

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def begin(self, title: str, total: int) -> None:
        """Begins work of `total` steps, and ends what was shown before."""
        self._stop()
        self._title, self._done, self._total = title, 0, total
        self._spoke_at = time.monotonic()
        if self._console.is_terminal and not self._quiet:
            columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
            self._bar = Progress(*columns, TimeRemainingColumn(), console=self._console, transient=True)
            self._bar.start()
            self._bar.add_task(title, total=total)

    def advance(self, count: int = 1) -> None:
        """Tells that so many steps more are done."""
        self._done += count
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], count)
        elif not self._quiet and time.monotonic() - self._spoke_at >= LINE_INTERVAL_S:
            self._spoke_at = time.monotonic()
            self.say(f"{self._title}: {self._done:,} of {self._total:,}")

    def say(self, message: str) -> None:
        """Prints a line that stays on the screen."""
        if not self._quiet:
            self._console.print(Text(message), soft_wrap=True)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

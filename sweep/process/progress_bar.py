"""Progress of a command's long work on stderr: a bar on a terminal, else a line every few seconds.

Work that can take long is given a `Follow` and calls it before each of its parts; it imports nothing from here but the
type. A run shows more, see `aesweep.run.callbacks.progress`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

# Called with the part that comes next, the number of parts that are done, and the number of all; None if not known.
Follow = Callable[[str, int, int | None], None]
# Work that is done sooner than the first line is due says nothing.
FIRST_LINE_S, LINE_INTERVAL_S = 1.0, 5.0


def unfollowed(part: str, num_done: int, num_parts: int | None) -> None:
    """A `Follow` that shows nothing."""


class ProgressBar:
    """A `Follow` that shows the progress of one piece of work, used in a `with` block.

    Args:
        title: what is done, such as "report".
        console: where to write, by default stderr; rich honours NO_COLOR and knows whether it is a terminal.
    """

    def __init__(self, title: str, console: Console | None = None):
        from rich.console import Console  # here, since what merely takes a `Follow` is to be imported fast

        self._title = title
        self._console = console or Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        self._due_at = time.monotonic() + FIRST_LINE_S

    def __enter__(self) -> ProgressBar:
        if self._console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            # What is shown may be the name of a file, in which brackets are no markup.
            text = TextColumn("{task.description}", markup=False)
            columns = (text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task(self._title, total=None)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, message: str) -> None:
        """Prints a line that stays on the screen, above a bar."""
        from rich.text import Text

        self._console.print(Text(message), soft_wrap=True)

    def __call__(self, part: str, num_done: int, num_parts: int | None) -> None:
        shown = f"{self._title}: " + "".join(letter if letter.isprintable() else "?" for letter in part)
        if self._bar is not None:
            self._bar.update(self._task, description=shown, completed=num_done, total=num_parts)
            return
        now = time.monotonic()
        if not self._console.is_terminal and now >= self._due_at:
            from rich.text import Text

            self._due_at = now + LINE_INTERVAL_S
            count = f" ({num_done + 1} of {num_parts})" if num_parts else ""
            self._console.print(Text(shown + count), soft_wrap=True)

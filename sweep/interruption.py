"""SIGINT and SIGTERM as a question that long work asks, so that it ends at a place of its own choosing."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class Interruption:
    """Turns SIGINT and SIGTERM into a question that can be asked; a second signal ends the process at once."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        self._earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.install()
        return self

    def install(self) -> None:
        """Takes the signals again from a library that took them for itself, as Ray does when it starts."""
        for number in self._earlier:
            signal.signal(number, self._take)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None:
            raise KeyboardInterrupt(128 + number)
        self.signal_number = number

    def requested(self) -> bool:
        return self.signal_number is not None

"""Handles SIGINT, SIGTERM and SIGHUP: they end the process or, while a run is recorded, set a flag that its work polls.

Work that is recorded chooses the place at which it ends, so that nothing is recorded in part. After a second request
the process ends at once, as by a kill, but leaves neither processes nor folders outside the run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# One request may come as two signals: a terminal sends them to a whole process group, whose members pass them on.
SAME_REQUEST_S = 0.2
UNWINDING_S = 3.0  # time for the interrupted code to clean up, such as to remove a temporary folder


class Interruption:
    """Handles the signals while its block runs.

    Until `defer` is called, a signal ends the process with 128 plus its number, at once and without a message. A SIGHUP
    that the process was started to ignore, as by `nohup`, stays ignored.

    Attributes:
        signal_number: the first signal that came; None where none has.
        last_words: message on stderr when a second request ends the process.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.last_words = ""
        self._is_deferred = False
        self._came_at = 0.0
        self._last_steps: list[Callable[[], object]] = []
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        for number in SIGNALS:
            earlier = signal.getsignal(number)
            if number != signal.SIGHUP or earlier != signal.SIG_IGN:
                self._earlier[number] = earlier
        self._install()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        self._earlier = {}

    def defer(self) -> None:
        """Defers the end: from now on a first signal only sets `requested`, and a second one ends the process."""
        self._is_deferred = True

    def requested(self) -> bool:
        """Returns whether a signal has come."""
        return self.signal_number is not None

    @contextlib.contextmanager
    def last_step(self, step: Callable[[], object]) -> Iterator[None]:
        """Runs `step` if a second request ends the process while the block runs; the newest step runs first."""
        self._last_steps.append(step)
        try:
            yield
        finally:
            self._last_steps.remove(step)

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Blocks the signals until the block has ended, since a library in it would handle them and end the process.

        Threads and processes that start in the block never receive a signal, nor do their child processes. A terminal,
        systemd or Slurm ends a job by a signal to all its processes at once, and the work could not end properly if the
        processes that it depends on ended first. This process ends them instead.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, set(self._earlier))
        _Children.stand_apart = True
        try:
            yield
        finally:
            _Children.stand_apart = False
            self._install()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _install(self) -> None:
        for number in self._earlier:
            signal.signal(number, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        is_first, now = self.signal_number is None, time.monotonic()
        if is_first:
            self.signal_number, self._came_at = number, now
        if not self._is_deferred:
            if is_first:
                # The interrupted code may swallow the exit, or take long to clean up.
                end = threading.Timer(UNWINDING_S, os._exit, (128 + number,))
                end.daemon = True
                end.start()
                sys.exit(128 + number)
        elif not is_first and now - self._came_at > SAME_REQUEST_S:
            self._end()

    def _end(self) -> None:
        """Runs the last steps and ends the process at once, without unwinding."""
        for step in reversed(self._last_steps):
            with contextlib.suppress(Exception):
                step()
        with contextlib.suppress(OSError):
            os.write(2, f"{self.last_words}\n".encode(errors="backslashreplace") if self.last_words else b"")
        os._exit(128 + self.signal_number)


class _Children:
    """The setup of the processes that this one forks, before they execute another program."""

    stand_apart = False  # whether they start separate sessions, which a terminal does not signal

    @classmethod
    def begin(cls) -> None:
        if cls.stand_apart:
            os.setsid()


os.register_at_fork(after_in_child=_Children.begin)

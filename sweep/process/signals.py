"""SIGINT, SIGTERM and SIGHUP: the end of the process, or, while a run is recorded, a question that its work asks.

So that nothing is recorded by halves, work that is recorded ends at a place of its own choosing. Who asks twice does
not want to wait: the process then ends as by a kill, but leaves neither processes nor folders outside the run.
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
UNWINDING_S = 3.0  # for what is under way to clear up behind itself, such as a temporary folder


class Interruption:
    """Takes the signals while its block runs.

    Until `defer` is called, a signal ends the process with 128 plus its number, at once and without a word. A SIGHUP
    that the process was started to ignore, as by `nohup`, stays ignored.

    Attributes:
        signal_number: the signal that came; None for none.
        last_words: what is said where a second request ends the process.
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
        """From now on a signal is the answer to `requested`, and nothing else, until it comes a second time."""
        self._is_deferred = True

    def requested(self) -> bool:
        return self.signal_number is not None

    @contextlib.contextmanager
    def last_step(self, step: Callable[[], object]) -> Iterator[None]:
        """What is done before a second request ends the process, while the block runs; the newest step comes first."""
        self._last_steps.append(step)
        try:
            yield
        finally:
            self._last_steps.remove(step)

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Signals wait until the block has ended: for a library that takes them for itself, and ends the process.

        Threads and processes that begin in the block never take a signal, nor do the processes that those begin.
        Whoever ends a job, as a terminal, systemd or Slurm do, signals all its processes at once: the work could not
        come to a good end if what it stands on went first. This process ends them.
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
                # Code that is being left may pass over the exit, or take its time.
                end = threading.Timer(UNWINDING_S, os._exit, (128 + number,))
                end.daemon = True
                end.start()
                sys.exit(128 + number)
        elif not is_first and now - self._came_at > SAME_REQUEST_S:
            self._end()

    def _end(self) -> None:
        """Ends the process here, whatever it is doing."""
        for step in reversed(self._last_steps):
            with contextlib.suppress(Exception):
                step()
        with contextlib.suppress(OSError):
            os.write(2, f"{self.last_words}\n".encode(errors="backslashreplace") if self.last_words else b"")
        os._exit(128 + self.signal_number)


class _Children:
    """What processes do that this one starts, before they become another program."""

    stand_apart = False  # in sessions of their own, which no terminal signals

    @classmethod
    def begin(cls) -> None:
        if cls.stand_apart:
            os.setsid()


os.register_at_fork(after_in_child=_Children.begin)

"""Exports a run once, or again and again while it records more."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from aesweep.export.exporter import Exported, Exporter, Steps
from aesweep.results import LoadedRun, load_run

ENDED = ("completed", "interrupted", "failed")
WAIT_S = 1.0
SHARE = 5.0  # of the time is spent waiting, times that of the last export


def export(path: Path, exporter: Exporter, steps: Steps) -> tuple[LoadedRun, Exported]:
    """Exports what a run has recorded so far; raises as `load_run` and `Exporter.write`."""
    run = load_run(path)
    return run, exporter.write(run, steps)


def follow(
    path: Path, exporter: Exporter, steps: Steps, wait: Callable[[float], object] = time.sleep
) -> Iterator[tuple[LoadedRun, Exported]]:
    """Exports a run whenever its journal has grown, until it has ended; a run that was killed has not.

    Args:
        path: the run's folder.
        exporter: what writes it.
        steps: shows how far each export is.
        wait: waits for so many seconds.

    Yields:
        The run, and what the export holds, after each time.
    """
    seen: int | None = None
    while True:
        began = time.monotonic()
        # Taken before the journal is read, so that what is recorded meanwhile is seen the next time.
        size = _size(path / "journal.jsonl")
        if size != seen:
            run, exported = export(path, exporter, steps)
            seen = size
            yield run, exported
            if run.status in ENDED:
                return
        wait(max(WAIT_S, SHARE * (time.monotonic() - began)))


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # `load_run` says what is wrong

"""The table of flows: which study went through which flow, and how long that took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from tabulate import tabulate

_results: dict[tuple[str, str], str] = {}


@contextlib.contextmanager
def flow(study: str, name: str) -> Iterator[None]:
    """What is done in this block is told as a field of the table."""
    started = time.monotonic()
    _results[study, name] = "FAILED"
    yield
    _results[study, name] = f"{time.monotonic() - started:.0f} s"


def told() -> str:
    """The table, a study a row; empty where nothing was tried."""
    studies = list(dict.fromkeys(study for study, _ in _results))
    flows = list(dict.fromkeys(name for _, name in _results))
    rows = [[study, *(_results.get((study, name), "") for name in flows)] for study in studies]
    return tabulate(rows, ["study", *flows], tablefmt="github", disable_numparse=True) if rows else ""

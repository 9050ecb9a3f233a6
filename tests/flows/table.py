"""The table of flows: which study went through which flow, and how long that took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from tabulate import tabulate

# (study, flow, how long it took); plain values, which pass from one process of the tests to another.
results: list[tuple[str, str, str]] = []


@contextlib.contextmanager
def flow(study: str, name: str) -> Iterator[None]:
    """What is done in this block is told as a field of the table."""
    started = time.monotonic()
    outcome = "FAILED"
    try:
        yield
        outcome = f"{time.monotonic() - started:.0f} s"
    finally:
        results.append((study, name, outcome))


def told() -> str:
    """The table, a study a row; empty where nothing was tried."""
    found = {(study, name): outcome for study, name, outcome in results}
    studies = list(dict.fromkeys(study for study, _ in found))
    flows = list(dict.fromkeys(name for _, name in found))
    rows = [[study, *(found.get((study, name), "") for name in flows)] for study in studies]
    return tabulate(rows, ["study", *flows], tablefmt="github", disable_numparse=True) if rows else ""

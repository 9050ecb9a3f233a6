"""Sides of a benchmark in turn, so that a machine that slows down slows all of them, and what came of their rounds."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path


def in_turn(sides: Sequence[str], num_rounds: int, prefix: str) -> Iterator[tuple[int, str, Path]]:
    """Yields (number of the round from 0, side, an empty folder for it); each round starts with another side.

    The folder is removed when the next one is asked for. Its path is short: Ray's sockets lie under it, and their names
    are limited to a hundred bytes.
    """
    for number in range(num_rounds):
        shift = number % len(sides)
        for side in (*sides[shift:], *sides[:shift]):
            with tempfile.TemporaryDirectory(prefix=prefix, dir="/tmp", ignore_cleanup_errors=True) as folder:
                yield number, side, Path(folder)


def median_and_range(seconds: Sequence[float]) -> list[str]:
    """Returns two cells of a table."""
    return [f"{statistics.median(seconds):.1f}", f"{min(seconds):.1f} to {max(seconds):.1f}"]

"""How a count is told: one of a thing, or several."""

from __future__ import annotations


def plural(count: float, noun: str) -> str:
    """A count with its noun, which takes an s but for one: 1 epoch, 1,200 epochs, 0.5 GPUs."""
    number = f"{int(count):,}" if float(count).is_integer() else f"{count:g}"
    return f"{number} {noun}" + ("" if count == 1 else "s")


def agree(count: int, one: str, several: str) -> str:
    """The verb that suits a count: 1 lies, 2 lie."""
    return one if count == 1 else several

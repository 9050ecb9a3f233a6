"""The wording of counts in messages: singular and plural."""

from __future__ import annotations


def plural(count: float, noun: str) -> str:
    """Returns a count with its noun, which takes an s except for one: 1 epoch, 1,200 epochs, 0.5 GPUs."""
    number = f"{int(count):,}" if float(count).is_integer() else f"{count:g}"
    return f"{number} {noun}" + ("" if count == 1 else "s")


def agree(count: int, one: str, several: str) -> str:
    """Returns the verb that agrees with a count: 1 lies, 2 lie."""
    return one if count == 1 else several

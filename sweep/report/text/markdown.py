"""Texts and tables as markdown shows them; text from a run is inert, whatever it holds."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from aesweep.report.rows.names import MISSING


def inert(text: Any) -> str:
    """Text that markdown and HTML show as it is, on one line."""
    plain = "".join(letter if letter.isprintable() else " " for letter in str(text))
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", plain).replace("://", ":&#8203;//").strip()


def code(text: Any) -> str:
    """Text in code letters, on one line, also inside a table."""
    plain = "".join(letter if letter.isprintable() else " " for letter in str(text))
    plain = plain.replace("`", "'").strip()
    return "`" + plain.replace("|", "\\|") + "`" if plain else MISSING


def shell_block(*commands: Sequence[str]) -> str:
    """Commands as a code block that they cannot leave, quoted for bash; what is not printable is escaped."""
    quoted = ((shlex.quote(word) if word.isprintable() else _escaped(word) for word in words) for words in commands)
    lines = "\n".join(" ".join(words) for words in quoted)
    longest = max((len(run) for run in re.findall("`+", lines)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{lines}\n{fence}"


def _escaped(word: str) -> str:
    """A word in bash's $'...' quotes, in which a newline is two letters."""
    letters = (f"\\{letter}" if letter in "'\\" else letter for letter in word)
    return "$'" + "".join(x if x.isprintable() else f"\\U{ord(x):08x}" for x in letters) + "'"


def listing(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def bold(text: str) -> str:
    return f"**{text}**"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], num_labels: int = 1) -> str:
    """A markdown table of cells that are inert already.

    Args:
        headings: of the columns.
        rows: cells.
        num_labels: how many leading columns are text, aligned left; the rest are numbers, aligned right.
    """
    align = ["left" if column < num_labels else "right" for column in range(len(headings))]
    if not rows:
        return ""
    return tabulate(rows, headings, tablefmt="pipe", colalign=align, disable_numparse=True)

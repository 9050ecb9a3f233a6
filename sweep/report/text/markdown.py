"""Formats texts as markdown; text from a run is made inert, whatever it holds."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from aesweep.report.rows.names import MISSING


def inert(text: Any) -> str:
    """Returns text escaped so that markdown and HTML show it literally, on one line."""
    plain = "".join(letter if letter.isprintable() else " " for letter in str(text))
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", plain).replace("://", ":&#8203;//").strip()


def code(text: Any) -> str:
    """Formats text as inline code, on one line, also inside a table."""
    plain = "".join(letter if letter.isprintable() else " " for letter in str(text))
    plain = plain.replace("`", "'").strip()
    return "`" + plain.replace("|", "\\|") + "`" if plain else MISSING


def shell_block(*commands: Sequence[str]) -> str:
    """Formats commands, quoted for bash, as a code block that they cannot end; unprintable characters are escaped."""
    quoted = ((shlex.quote(word) if word.isprintable() else _escaped(word) for word in words) for words in commands)
    lines = "\n".join(" ".join(words) for words in quoted)
    longest = max((len(run) for run in re.findall("`+", lines)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{lines}\n{fence}"


def _escaped(word: str) -> str:
    """Quotes a word in bash's $'...' form, in which unprintable characters are written as code points."""
    letters = (f"\\{letter}" if letter in "'\\" else letter for letter in word)
    return "$'" + "".join(x if x.isprintable() else f"\\U{ord(x):08x}" for x in letters) + "'"


def listing(parts: Sequence[str]) -> str:
    """Joins the parts in the form "a, b and c"."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def bold(text: str) -> str:
    return f"**{text}**"

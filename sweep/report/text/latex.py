r"""Writes texts for LaTeX; text from a run is shown literally, and can never be a command.

What is written is ASCII and needs no engine or package of its own: letters with accents are composed, and a character
that LaTeX's standard fonts lack is named by its code point, as U+1F600.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterable

from aesweep.report.text.inline import Span

# Characters that mean themselves wherever a text may stand, also after `\\` in a table and inside a BibTeX field.
PLAIN = frozenset(string.ascii_letters + string.digits + " .,:;!?()/+=-'@")
# These make ligatures with themselves, such as a dash of two hyphens.
_LIGATURES = frozenset("-',")
COMMANDS = {
    "\\": r"\textbackslash{}", "{": r"\textbraceleft{}", "}": r"\textbraceright{}", "$": r"\$", "&": r"\&",
    "#": r"\#", "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': r"\symbol{34}", "[": "{[}",
    "]": "{]}", "*": "{*}", "–": r"\textendash{}", "—": r"\textemdash{}", "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}", "“": r"\textquotedblleft{}", "”": r"\textquotedblright{}", "…": r"\textellipsis{}",
    "†": r"\textdagger{}", "‡": r"\textdaggerdbl{}", "§": r"\S{}", "°": r"\textdegree{}",
    "·": r"\textperiodcentered{}", "\u00a0": r"\nobreakspace{}", "\u200b": "", "±": r"\ensuremath{\pm}",
    "×": r"\ensuremath{\times}", "÷": r"\ensuremath{\div}", "−": r"\ensuremath{-}", "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}", "≠": r"\ensuremath{\neq}", "≈": r"\ensuremath{\approx}", "∞": r"\ensuremath{\infty}",
    "→": r"\ensuremath{\rightarrow}", "µ": r"\ensuremath{\mu}", "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}",
    "ø": r"\o{}", "Ø": r"\O{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}",
    "²": r"\texttwosuperior{}", "³": r"\textthreesuperior{}", "α": r"\ensuremath{\alpha}", "β": r"\ensuremath{\beta}",
    "γ": r"\ensuremath{\gamma}", "δ": r"\ensuremath{\delta}", "ε": r"\ensuremath{\epsilon}",
    "λ": r"\ensuremath{\lambda}", "μ": r"\ensuremath{\mu}", "σ": r"\ensuremath{\sigma}", "τ": r"\ensuremath{\tau}",
    "Δ": r"\ensuremath{\Delta}", "Σ": r"\ensuremath{\Sigma}",
}  # fmt: skip
ACCENTS = {
    "\u0300": r"\`", "\u0301": r"\'", "\u0302": r"\^", "\u0303": r"\~", "\u0304": r"\=", "\u0306": r"\u",
    "\u0307": r"\.", "\u0308": r"\"", "\u030a": r"\r", "\u030b": r"\H", "\u030c": r"\v", "\u0327": r"\c",
}  # fmt: skip
_MARKS = {"strong": r"\textbf", "em": r"\emph", "code": r"\texttt"}


def escaped(text: str) -> str:
    """Returns LaTeX that shows a text literally, on one line, in a paragraph, a table's cell or a BibTeX field."""
    parts: list[str] = []
    before = ""
    for letter in text:
        if letter in _LIGATURES and letter == before:
            parts.append("{}")
        parts.append(_escaped(letter))
        before = letter
    return "".join(parts)


def _escaped(letter: str) -> str:
    if letter in PLAIN:
        return letter
    if letter in COMMANDS:
        return COMMANDS[letter]
    base, *marks = unicodedata.normalize("NFD", letter)
    if base in string.ascii_letters and len(marks) == 1 and marks[0] in ACCENTS:
        return f"{ACCENTS[marks[0]]}{{{base}}}"
    return rf"\texttt{{U+{ord(letter):04X}}}" if letter.isprintable() else " "


def formatted(found: Iterable[Span]) -> str:
    """Returns LaTeX that shows spans with their markup."""
    parts = []
    for span in found:
        opened = "".join(f"{_MARKS[mark]}{{" for mark in span.marks)
        parts.append(opened + escaped(span.text) + "}" * len(span.marks))
    return "".join(parts)

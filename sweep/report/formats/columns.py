r"""The columns of a table for LaTeX: numbers that siunitx aligns, or text.

Used in `latex.py` alone. A column of numbers is an `S` column whose format has room for the widest of each part: digits
before and after the point, the interval, the exponent, a sign behind the number.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from decimal import Decimal

from aesweep.report.rows.names import MISSING
from aesweep.report.text.inline import Span, plain
from aesweep.report.text.latex import escaped, formatted

_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?:\.(?P<decimals>\d+))?(?:e(?P<exponent>[+-]?\d+))?"
    r"(?: ± (?P<spread>\d+(?:\.\d+)?(?:e[+-]?\d+)?))?(?P<after> ?[^\d\s.,:;+-]{1,3})?"
)
# Longer text than this is broken into lines, unless a word of it is longer than such a line.
MAX_LETTERS = 36
_EMPTY = ("", MISSING)


@dataclasses.dataclass(frozen=True)
class Number:
    """A cell that is a number.

    Attributes:
        sign, whole, decimals, exponent: its parts, as text; a part that it lacks is empty.
        spread: the half width of its interval, in the digits and with the exponent of the number; it may be empty.
        after: a sign behind it, as LaTeX.
        is_bold: whether it is shown in bold.
    """

    sign: str
    whole: str
    decimals: str
    exponent: str
    spread: str
    after: str
    is_bold: bool

    @property
    def latex(self) -> str:
        text = f"{self.sign}{self.whole}" + (f".{self.decimals}" if self.decimals else "")
        text += rf" \pm {self.spread}" if self.spread else ""
        text += f"e{self.exponent}" if self.exponent else ""
        text += f" {{{self.after}}}" if self.after else ""
        return rf"\bfseries {text}" if self.is_bold else text


def number_of(cell: Sequence[Span]) -> Number | None:
    """Returns a cell's number; None if it holds anything else."""
    match = _NUMBER.fullmatch(plain(list(cell)).strip())
    if match is None or any(mark != "strong" for span in cell for mark in span.marks):
        return None
    exponent = str(int(match["exponent"])) if match["exponent"] else ""
    spread = ""
    if match["spread"]:
        # siunitx takes one exponent for both, and gives the interval the number's digits.
        scaled = Decimal(match["spread"]).scaleb(-int(exponent or 0))
        spread = f"{scaled:f}"
    after = (match["after"] or "").strip()
    return Number(
        match["sign"],
        match["whole"].replace(",", ""),
        match["decimals"] or "",
        exponent,
        spread,
        rf"\,{escaped(after)}" if after else "",
        any(span.marks for span in cell),
    )


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        specification: its type in the preamble of the tabular.
        cells: its cells, as LaTeX.
        has_intervals: whether numbers in it have intervals.
    """

    specification: str
    cells: list[str]
    has_intervals: bool = False


def column_of(cells: Sequence[Sequence[Span]], is_label: bool) -> Column:
    """Returns a column: of numbers if most cells are numbers and the table does not call it text, else of text."""
    numbers = [number_of(cell) for cell in cells]
    known = [number for number in numbers if number is not None]
    others = sum(
        number is None and plain(list(cell)) not in _EMPTY for number, cell in zip(numbers, cells, strict=True)
    )
    if is_label or len(known) <= others:
        texts = [plain(list(cell)) for cell in cells]
        is_long = max(map(len, texts)) > MAX_LETTERS
        is_broken = is_long and all(len(word) <= MAX_LETTERS for text in texts for word in text.split())
        side = rf">{{\raggedright\arraybackslash}}p{{{MAX_LETTERS // 2}em}}" if is_broken else "l" if is_label else "r"
        return Column(side, [formatted(cell) for cell in cells])
    texts = [
        number.latex if number else f"{{{formatted(cell)}}}" if plain(list(cell)) else ""
        for number, cell in zip(numbers, cells, strict=True)
    ]
    return Column(f"S[{_options(known)}]", texts, any(number.spread for number in known))


def _options(numbers: Sequence[Number]) -> str:
    whole = max(len(number.whole) for number in numbers)
    decimals = max(len(number.decimals) for number in numbers)
    room = f"{'+' * any(number.sign for number in numbers)}{whole}.{decimals}"
    spreads = [number.spread for number in numbers if number.spread]
    if spreads:
        # In units of the last digit, as siunitx counts the digits of an uncertainty.
        digits = max(len(str(int(Decimal(spread).scaleb(len(spread.partition(".")[2]))))) for spread in spreads)
        room += f"({digits})"
    exponents = [number.exponent for number in numbers if number.exponent]
    if exponents:
        room += f"e{'-' * any(e.startswith('-') for e in exponents)}{max(len(e.lstrip('-')) for e in exponents)}"
    after = max((number.after for number in numbers), key=len)
    return f"table-format={room}" + (f",table-space-text-post={{{after}}}" if after else "")

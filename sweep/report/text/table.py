"""A table as data: what every format of the report, markdown first, is written from."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence

from tabulate import tabulate


@dataclasses.dataclass(frozen=True)
class Value:
    """A cell of a table that says where it comes from.

    Attributes:
        text: inline markdown, with text from the run made inert.
        trials: names of the trials and retrainings behind it, the one that counts first.
        baseline: key in `Run.baselines` of the baseline behind it, or from `codes_key`; None for a learned number.
    """

    text: str
    trials: tuple[str, ...] = ()
    baseline: tuple[Hashable, ...] | None = None

    def __str__(self) -> str:
        return self.text


@dataclasses.dataclass(frozen=True)
class Table:
    """Headings and rows of cells; a table without rows is false, and is not shown.

    Attributes:
        headings: inline markdown of the columns' headings.
        rows: the cells of each row, inline markdown that is inert already.
        num_labels: number of leading columns that are text, aligned left; the rest are numbers, aligned right.
        lead: a line above the table; it may be empty.
        quantity: what the numbers are, as words of a caption, if neither headings nor lead say so.
        num_totals: number of rows at the end that sum up the others, and stay there when a reader sorts the table.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str | Value]]
    num_labels: int = 1
    lead: str = ""
    quantity: str = ""
    num_totals: int = 0

    def __bool__(self) -> bool:
        return bool(self.rows)

    @property
    def markdown(self) -> str:
        """The table without its lead; empty if it has no rows."""
        if not self.rows:
            return ""
        align = ["left" if column < self.num_labels else "right" for column in range(len(self.headings))]
        rows = [[str(cell) for cell in row] for row in self.rows]
        return tabulate(rows, list(self.headings), tablefmt="pipe", colalign=align, disable_numparse=True)

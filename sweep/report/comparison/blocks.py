"""The parts of a page, from which markdown is written; texts are inline markdown, in which text from a run is inert."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from aesweep.report.text.markdown import table


@dataclasses.dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclasses.dataclass(frozen=True)
class Paragraph:
    text: str


@dataclasses.dataclass(frozen=True)
class Bullets:
    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        headings: the headings of its columns.
        rows: the cells of each row.
        num_labels: number of leading columns that are text; the others are numbers.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_labels: int


Block = Heading | Paragraph | Bullets | Table


def markdown(blocks: Sequence[Block]) -> str:
    """Returns the blocks as a markdown page."""
    return "\n\n".join(filter(None, (_markdown(block) for block in blocks))) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Bullets(lines):
            return "\n".join(f"- {line}" for line in lines)
        case Table(headings, rows, num_labels):
            return table(headings, rows, num_labels)
        case Paragraph(text):
            return text

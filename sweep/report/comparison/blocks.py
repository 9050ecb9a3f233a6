"""The parts of a page, from which markdown is written; texts are inline markdown, in which text from a run is inert."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from aesweep.report.text.table import Table


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
        case Table():
            return block.markdown
        case Paragraph(text):
            return text

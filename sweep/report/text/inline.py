"""Reads inline markdown, as the cells of tables hold it, into spans of literal text, for other formats."""

from __future__ import annotations

import dataclasses
import functools

from markdown_it import MarkdownIt


@dataclasses.dataclass(frozen=True)
class Span:
    """A piece of text with its markup.

    Attributes:
        text: the text as a reader of the markdown sees it.
        marks: those of "strong", "em" and "code" that apply, the outermost first.
    """

    text: str
    marks: tuple[str, ...] = ()


@functools.cache
def _parser() -> MarkdownIt:
    return MarkdownIt("zero", {"html": False}).enable(["escape", "entity", "backticks", "emphasis", "link"])


def spans(markdown: str) -> list[Span]:
    """Returns the spans of inline markdown: code, strong, emphasis, escapes and entities.

    A reader of a page follows links, a reader of a table elsewhere cannot: the text ends before the first link, and
    before the parenthesis that it stands in.
    """
    (inline,) = _parser().parseInline(markdown)
    marks: list[str] = []
    found: list[Span] = []
    for token in inline.children or ():
        kind = token.type
        if kind == "link_open":
            before = [Span(found[-1].text.removesuffix("("), found[-1].marks)] if found else []
            return [span for span in found[:-1] + before if span.text]
        if kind.endswith("_open"):
            marks.append(kind.removesuffix("_open"))
        elif kind.endswith("_close"):
            marks.pop()
        elif kind == "code_inline":
            found.append(Span(token.content, (*marks, "code")))
        else:
            text = " " if kind in ("softbreak", "hardbreak") else token.content
            if found and found[-1].marks == tuple(marks):
                found[-1] = Span(found[-1].text + text, found[-1].marks)
            elif text:
                found.append(Span(text, tuple(marks)))
    return found


def cell_spans(markdown: str) -> list[Span]:
    """Returns the spans of a table's cell, in which a bar is escaped wherever it stands, also in code."""
    return spans(markdown.replace("\\|", "|"))


def plain(found: list[Span]) -> str:
    """Returns the text of spans without their markup."""
    return "".join(span.text for span in found)

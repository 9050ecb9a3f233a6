"""Converts the markdown of sections and cells to HTML; HTML in it stays text, and links lead to nothing but files."""

from __future__ import annotations

from collections.abc import Iterable

from markdown_it import MarkdownIt
from markupsafe import Markup

_MARKDOWN = MarkdownIt("commonmark", {"html": False})


def inline(text: object) -> Markup:
    """Converts inline markdown, such as a heading or a cell of a table."""
    return Markup(_MARKDOWN.renderInline(str(text)))  # noqa: S704 - markdown-it escapes all text


def block(text: str) -> Markup:
    """Converts paragraphs; an empty text stays empty."""
    return Markup(_MARKDOWN.render(text))  # noqa: S704


def bullets(lines: Iterable[str]) -> Markup:
    """Converts lines of inline markdown to a list; no lines become nothing."""
    items = Markup("").join(Markup("<li>{}</li>\n").format(inline(line)) for line in lines)
    return Markup("<ul>\n{}</ul>\n").format(items) if items else Markup("")

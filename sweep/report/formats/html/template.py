"""The environment of the templates of pages in HTML: everything is escaped, and markdown becomes HTML in one way."""

from __future__ import annotations

from pathlib import Path

import jinja2

from aesweep.report.formats.html import prose


def page_environment(folder: Path) -> jinja2.Environment:
    """Returns an environment for the templates in a folder and those here that all pages share.

    It has `inline`, `block` and `bullets` for markdown. `source` tells what is behind a cell of a table: nothing,
    unless the page sets it.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(inline=prose.inline, block=prose.block)
    environment.globals.update(bullets=prose.bullets, source=lambda cell: None)
    return environment

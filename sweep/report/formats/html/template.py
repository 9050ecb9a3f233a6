"""The environment of the templates of pages in HTML: everything is escaped, and markdown becomes HTML in one way."""

from __future__ import annotations

from pathlib import Path

import jinja2

from aesweep.report.formats.html import prose


def page_environment(folder: Path) -> jinja2.Environment:
    """Returns an environment for the templates in a folder, with `inline`, `block` and `bullets` for markdown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(inline=prose.inline, block=prose.block)
    environment.globals.update(bullets=prose.bullets)
    return environment

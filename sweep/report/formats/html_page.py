"""The report as a page of HTML, which the folder `html` makes."""

from __future__ import annotations

from collections.abc import Iterator

from aesweep.report.formats.format import File, Settings
from aesweep.report.formats.html.explorer import Explorer
from aesweep.report.formats.html.page import html_page
from aesweep.report.sections.contents import Contents


def html_files(contents: Contents, _: Settings) -> Iterator[File]:
    """Makes report.html."""
    yield "report.html", html_page(contents, Explorer(contents.state))

"""The formats in which a report can be written: the extension point for more.

A format is a function from the contents to files, in a module of its own. The names are also those of `report.formats`
in a study (`aesweep.study.schema`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from aesweep.process.progress_bar import Follow
from aesweep.report.formats.format import Format, Settings
from aesweep.report.formats.html_page import html_files
from aesweep.report.formats.latex import latex_files, num_latex_files
from aesweep.report.formats.markdown import markdown_files
from aesweep.report.formats.pdf import num_pdf_files, pdf_files
from aesweep.report.formats.plain import num_plain_files, plain_files
from aesweep.report.rows.types import Run
from aesweep.report.sections.contents import Contents

# In the order in which they are written: a page comes after the files to which it links.
FORMATS: dict[str, Format] = {
    "latex": Format(latex_files, num_latex_files),
    "pdf": Format(pdf_files, num_pdf_files),
    "html": Format(html_files),
    "markdown": Format(markdown_files),
}
# Every report has these, because other things lead to them.
ALWAYS = ("html", "markdown")
# Those of a study that names none. PDFs, which a paper alone needs, take as long as all PNGs.
DEFAULT_FORMATS = ("latex", "html", "markdown")


def settings_of(run: Run, formats: Sequence[str] | None = None, width: str | None = None) -> Settings:
    """Returns what a report is to be written as: as asked, else as the run's study says, else by default."""
    asked = run.study.get("report", {})
    names = {*(formats or asked.get("formats") or DEFAULT_FORMATS), *ALWAYS}
    return Settings(tuple(name for name in FORMATS if name in names), width or asked.get("width") or Settings.width)


def report_files(contents: Contents, settings: Settings, follow: Follow) -> Iterator[tuple[str, bytes]]:
    """Yields path and content of every file of a report, one by one, since making them takes most of a report's time.

    Args:
        contents: what the report shows.
        settings: what it is written as.
        follow: called with each file once it is made.
    """
    num_files = num_plain_files(contents) + sum(FORMATS[name].num_files(contents) for name in settings.formats)
    parts = [plain_files, *(FORMATS[name].files for name in settings.formats)]
    files = itertools.chain.from_iterable(files(contents, settings) for files in parts)
    for number, (name, content) in enumerate(files):
        follow(name, number, num_files)
        yield name, content.encode() if isinstance(content, str) else content

"""The formats in which a report can be written: the extension point for more.

A format is a function from the contents to files, in a module of its own. The names are also those of `report.formats`
in a study (`aesweep.study.schema`).
"""

from __future__ import annotations

from collections.abc import Iterator

from aesweep.report.formats.format import File, Format, Settings
from aesweep.report.formats.latex import latex_files
from aesweep.report.formats.markdown import markdown_files
from aesweep.report.formats.pdf import pdf_files
from aesweep.report.formats.plain import plain_files
from aesweep.report.sections.contents import Contents

# In the order in which they are written: a page comes after the files to which it links.
FORMATS: dict[str, Format] = {"latex": latex_files, "pdf": pdf_files, "markdown": markdown_files}
# Those of a study that names none. PDFs, which a paper alone needs, take as long as all PNGs.
DEFAULT_FORMATS = ("latex", "markdown")


def report_files(contents: Contents, settings: Settings) -> Iterator[File]:
    """Yields every file of a report, one by one, since making them takes most of a report's time."""
    yield from plain_files(contents, settings)
    for name, make in FORMATS.items():
        if name in settings.formats:
            yield from make(contents, settings)

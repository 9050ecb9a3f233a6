r"""The report's figures for a paper: as PDF, each with a file to `\input` that holds its caption and label.

The same bytes twice: no dates, no versions; fonts are embedded with the outlines of their own files.
"""

from __future__ import annotations

from collections.abc import Iterator

from aesweep.report.figures.style import styled
from aesweep.report.formats.format import File, Settings
from aesweep.report.formats.latex import head, label
from aesweep.report.sections.contents import Contents
from aesweep.report.text.latex import escaped


def pdf_files(contents: Contents, settings: Settings) -> Iterator[File]:
    """Makes figures/*.pdf and figures/*.tex, of the settings' width."""
    if settings.width == "page":
        yield from _figures(contents, "figure*")
        return
    # The pages keep their wide figures; those of a column are laid out anew.
    with styled(settings.width):
        yield from _figures(Contents(contents.state, contents.folder), "figure")


def num_pdf_files(contents: Contents) -> int:
    return 2 * len(contents.drawings)


def _figures(contents: Contents, float_name: str) -> Iterator[File]:
    for drawing in contents.drawings:
        yield f"figures/{drawing.name}.pdf", contents.encoded(drawing, "pdf")
        lines = [
            *head(contents, "graphicx"),
            r"% \graphicspath{{runs/.../figures/}} in the preamble says where the PDF lies.",
            rf"\begin{{{float_name}}}[tbp]",
            r"  \centering",
            rf"  \includegraphics[width=\linewidth]{{{drawing.name}.pdf}}",
            rf"  \caption{{{escaped(drawing.caption)}}}",
            rf"  \label{{fig:{label(contents, drawing.name)}}}",
            rf"\end{{{float_name}}}",
            "",
        ]
        yield f"figures/{drawing.name}.tex", "\n".join(lines)

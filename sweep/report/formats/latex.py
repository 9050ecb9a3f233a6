r"""The report's tables for a paper, one file each to `\input`, and a bibliography entry for the run.

The tables need booktabs, graphicx and siunitx, and any engine. Every text from a run passes through
`aesweep.report.text.latex`.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence

from aesweep.report.formats.bibliography import bibliography
from aesweep.report.formats.columns import column_of
from aesweep.report.formats.format import File, Settings
from aesweep.report.rows.names import dataset_name
from aesweep.report.sections.contents import Contents
from aesweep.report.sections.section import Section
from aesweep.report.text.inline import Span, cell_spans, plain, spans
from aesweep.report.text.latex import escaped, formatted
from aesweep.report.text.table import Table

# Letters of a small font that fit into a column of a two-column page, the space between columns counted as two.
LETTERS_IN_COLUMN = 52
LETTERS_IN_PAGE = 120
PLUS_MINUS = r"\ensuremath{\pm}: half the width of the 95 \% Student-t interval over seeds."
IN_PARENTHESES = (
    r"In parentheses: half the width of the 95 \% Student-t interval over seeds, in units of the number's last digit."
)
# More columns than these stand closer together.
MANY_COLUMNS = 7
# Widths are those of letters in a heading; narrower ones are not broken.
_LEAST_HEADING = 9
_SETTINGS = (
    "table-align-uncertainty,detect-weight,mode=text,retain-explicit-plus,"
    "group-digits=integer,group-minimum-digits=4,group-separator={,},table-number-alignment=right,"
    "table-align-text-post=false"
)


def latex_files(contents: Contents, settings: Settings) -> Iterator[File]:
    """Makes tables/*.tex and tables/run.bib."""
    taken: list[str] = []
    parts = [(part.name, section) for part in contents.datasets for section in part.sections]
    for dataset, section in [*parts, *((None, section) for section in contents.sections)]:
        title = plain(spans(section.title))
        for table in section.tables:
            taken.append(_name(title, dataset, taken))
            name = taken[-1]
            whole = f"{title}, {dataset_name(dataset)}" if dataset else title
            yield f"tables/{name}.tex", latex_table(table, section, whole, name, contents, settings.width)
    if contents.run.status != "empty":
        yield "tables/run.bib", bibliography(contents)


def _name(title: str, dataset: str | None, taken: Sequence[str]) -> str:
    """Returns a name for a table's file, without a point, which some programs take for an ending."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "table"
    base = re.sub(r"[^A-Za-z0-9_-]", "_", dataset) + "-" + slug if dataset else slug
    names = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name.casefold() not in map(str.casefold, taken))


def num_latex_files(contents: Contents) -> int:
    sections = [section for part in contents.datasets for section in part.sections] + contents.sections
    return sum(len(section.tables) for section in sections) + (contents.run.status != "empty")


def latex_table(table: Table, section: Section, title: str, name: str, contents: Contents, width: str) -> str:
    """Returns a table as a float with caption and label.

    Args:
        table: the table; it has rows.
        section: where it stands.
        title: what it shows, as plain text.
        name: of its file.
        contents: the whole report.
        width: see `Settings`; a table that is too wide for a column goes across both, and one too wide for the page is
            made smaller.
    """
    rows = [[cell_spans(str(cell)) for cell in row] for row in table.rows]
    columns = [column_of(cells, index < table.num_labels) for index, cells in enumerate(zip(*rows, strict=True))]
    longest = [max(len(plain(cell)) for cell in cells) for cells in zip(*rows, strict=True)]
    headings = [
        _heading(cell_spans(heading), letters, index < table.num_labels)
        for index, (heading, letters) in enumerate(zip(table.headings, longest, strict=True))
    ]
    num_letters = sum(max(letters, _LEAST_HEADING) + 2 for letters in longest)
    is_wide = width == "page" or num_letters > LETTERS_IN_COLUMN
    has_intervals = any(column.has_intervals for column in columns)
    is_compact = num_letters > LETTERS_IN_PAGE
    float_name = "table*" if is_wide else "table"
    notes = [
        escaped(f"{title}."),
        escaped(table.quantity),
        _sentence(table.lead),
        formatted(spans(section.footer)).strip(),
        (IN_PARENTHESES if is_compact else PLUS_MINUS) if has_intervals else "",
        formatted(spans(section.intro)).strip(),
    ]
    caption = " ".join(filter(None, notes))
    lines = [f"    {' & '.join(cells)} \\\\" for cells in zip(*(column.cells for column in columns), strict=True)]
    return "\n".join(
        [
            *head(contents, "booktabs, graphicx, siunitx"),
            rf"\begin{{{float_name}}}[tbp]",
            r"  \centering",
            rf"  \caption[{{{escaped(title)}}}]{{{caption}}}",
            rf"  \label{{tab:{label(contents, name)}}}\par",
            r"  \smallskip\small" + (r"\setlength{\tabcolsep}{4pt}" if len(columns) > MANY_COLUMNS else ""),
            rf"  \sisetup{{{_SETTINGS},separate-uncertainty={'false' if is_compact else 'true'}}}",
            rf"  \sbox0{{\begin{{tabular}}{{@{{}}{' '.join(column.specification for column in columns)}@{{}}}}",
            r"    \toprule",
            f"    {' & '.join(headings)} \\\\",
            r"    \midrule",
            *lines,
            r"    \bottomrule",
            r"  \end{tabular}}%",
            r"  \ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
            rf"\end{{{float_name}}}",
            "",
        ]
    )


def head(contents: Contents, packages: str) -> list[str]:
    """Returns the comments at the top of a file: where it comes from, and what it needs."""
    return [
        f"% Written by aesweep from a journal of {contents.origin.num_lines} lines with SHA-256",
        f"% {contents.origin.journal_sha256}; `aesweep report RUN --check` tells whether it still holds.",
        f"% The document needs the packages {packages}.",
    ]


def label(contents: Contents, name: str) -> str:
    """Returns what follows `tab:` or `fig:` in the label of a table or figure: the study's name, and the file's."""
    study = re.sub(r"[^A-Za-z0-9.-]", "-", str(contents.run.study.get("name", "run")))
    return f"{study}:{re.sub(r'[^A-Za-z0-9._-]', '-', name)}"


def _sentence(lead: str) -> str:
    """Returns the line above a table, which ends with a colon on the page, as a sentence of a caption."""
    text = formatted(spans(lead)).strip()
    return text.removesuffix(":") + "." if text.endswith(":") else text


def _heading(heading: list[Span], letters: int, is_label: bool) -> str:
    """Returns a heading in lines that are not much wider than the column's cells."""
    text = plain(heading)
    if any(span.marks for span in heading):
        lines = [formatted(heading)]
    else:
        lines = [escaped(line) for line in textwrap.wrap(text, max(letters, _LEAST_HEADING), break_long_words=False)]
    if len(lines) < 2:
        return f"{{{''.join(lines)}}}"
    side = "l" if is_label else "c"
    stacked = r"\\".join(lines)
    return rf"{{\begin{{tabular}}[b]{{@{{}}{side}@{{}}}}{stacked}\end{{tabular}}}}"

"""The report as a page of markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import jinja2

from aesweep.report.formats.format import File, Settings
from aesweep.report.rows.names import dataset_name
from aesweep.report.sections.contents import Contents
from aesweep.report.sections.preamble import HOW_TO_READ, image_facts, provenance, warning
from aesweep.report.sections.reproduction import reproduction
from aesweep.report.text.markdown import inert, shell_block


def markdown_files(contents: Contents, _: Settings) -> Iterator[File]:
    """Makes report.md."""
    yield "report.md", markdown_page(contents)


def markdown_page(contents: Contents) -> str:
    """Returns the page's text; its figures are files in figures/, its CSV files in tables/."""
    environment = jinja2.Environment(  # noqa: S701 - markdown, made inert by `markdown.inert` and `markdown.code`
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(inert=inert, dataset=dataset_name)
    run = contents.run
    commands, where = reproduction(run)
    text = environment.get_template("page.md.j2").render(
        run=run,
        warning=warning(run, contents.missing),
        missing=contents.missing,
        datasets=contents.datasets,
        sections=contents.sections,
        how_to_read=HOW_TO_READ,
        image_facts=image_facts,
        command=shell_block(*commands),
        where=where,
        provenance=[] if run.status == "empty" else provenance(run, contents.origin),
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"

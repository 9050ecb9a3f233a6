"""The report as a page of markdown."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

import jinja2

from aesweep.process.wording import plural
from aesweep.report.formats.format import File, Settings
from aesweep.report.rows.names import MISSING, dataset_name
from aesweep.report.sections.contents import Contents
from aesweep.report.sections.reproduction import reproduction
from aesweep.report.sections.rules import OVERFITTING_GAP
from aesweep.report.text.markdown import code, inert, shell_block


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
    environment.filters.update(plural=plural, inert=inert, code=code, dataset=dataset_name)
    run = contents.run
    commands, where = reproduction(run)
    text = environment.get_template("page.md.j2").render(
        run=run,
        origin=contents.origin,
        state=contents.missing,
        datasets=contents.datasets,
        sections=contents.sections,
        overfitting_percent=round(100 * OVERFITTING_GAP),
        command=shell_block(*commands),
        where=where,
        started=_utc(run.started_at),
        retraining_seeds=sorted({seed for r in run.retrainings for seed in r.trial.seeds}),
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _utc(seconds: float | None) -> str:
    if seconds is None:
        return MISSING
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")

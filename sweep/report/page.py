"""The report of a run: tables as CSV, figures as PNG and SVG, and one page that holds them together.

It is made from the run folder alone: the journal and the pictures. The same journal gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import datetime
import io
import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from aesweep.process.wording import plural
from aesweep.report.analysis.account import account_frame, failure_frame, stops_text
from aesweep.report.analysis.frames import BASELINES, RATES, cell_frame, seed_frame, trial_frame, winner_frame
from aesweep.report.figures.style import Drawing, save, styled
from aesweep.report.reproduction import reproduction
from aesweep.report.rows.names import MISSING, dataset_name, file_name, untaken
from aesweep.report.rows.published import Published
from aesweep.report.rows.reader import read_run
from aesweep.report.rows.types import Run
from aesweep.report.sections.missing import missing_parts
from aesweep.report.sections.registry import DATASET_SECTIONS, RUN_SECTIONS, section_of
from aesweep.report.sections.rules import OVERFITTING_GAP
from aesweep.report.sections.section import DatasetView, RunView, Section, StageView
from aesweep.report.sections.winners import headline
from aesweep.report.text.markdown import code, inert, shell_block
from aesweep.storage.atomic_file import write_whole
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState


def write_report(folder: RunFolder | Path) -> Path:
    """Writes tables/*.csv, figures/*.png and *.svg, then report.md; returns the report's path.

    At the end it removes files with these endings that an earlier report left in these two folders.

    Args:
        folder: the run. It may be unfinished; the report then says what is missing.

    Raises:
        JournalError: the journal is missing or damaged.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder.open(folder)
    run = read_run(RunState.read(folder.journal))
    with styled():
        report = Report(run, folder)
        text = report.render()
        for name, frame in report.frames.items():
            write_whole(folder.tables / f"{name}.csv", _csv(frame))
        for drawing in report.drawings:
            save(drawing, folder.figures)
    write_whole(folder.report, text)
    _remove_others(folder, folder.tables, {f"{name}.csv" for name in report.frames}, (".csv",))
    names = {f"{drawing.name}{ending}" for drawing in report.drawings for ending in (".png", ".svg")}
    _remove_others(folder, folder.figures, names, (".png", ".svg"))
    return folder.report


class Report:
    """The page and everything that it shows.

    Args:
        run: the rows of the run.
        folder: the run's folder, which holds the pictures.

    Attributes:
        frames: name of a CSV file to its frame.
        drawings: every figure that the page shows, once it is rendered.
    """

    def __init__(self, run: Run, folder: RunFolder):
        self.run = run
        self.drawings: list[Drawing] = []
        self._folder = folder
        self._published = Published(run.reference)
        self._cells = {
            (name, dataset): cell_frame(run, stage, dataset)
            for name, stage in run.stages.items()
            for dataset in stage.datasets
        }
        self._winners = {dataset: winner_frame(run, dataset, self._published) for dataset in run.datasets}
        self._account = account_frame(run)
        self._failures = failure_frame(run)
        self.frames: dict[str, pd.DataFrame] = {
            "trials": trial_frame(run),
            "retrainings": seed_frame(run),
            "account": self._account.assign(stopped_at=self._account["stopped_at"].map(stops_text)),
            "failures": self._failures,
        }
        self._csv: dict[tuple[str | None, str], str] = {}  # by stage and data set; None for a data set's winners
        for (stage, dataset), frame in self._cells.items():
            shown = _without_unused(frame.drop(columns=["rows", "columns"]), (*BASELINES, *RATES))
            self._csv[stage, dataset] = self._add_frame(file_name(dataset, stage), shown)
        for dataset, frame in self._winners.items():
            if len(frame):
                self._csv[None, dataset] = self._add_frame(file_name(dataset, "winners"), _without_unused(frame, RATES))

    def _add_frame(self, name: str, frame: pd.DataFrame) -> str:
        """Adds a CSV file and returns its name, which is unique whatever stages and data sets are called."""
        file = untaken(name, self.frames)
        self.frames[file] = frame
        return file

    def render(self) -> str:
        """Returns the page's markdown, and draws the figures on the way."""
        environment = jinja2.Environment(  # noqa: S701 - markdown, made inert by `markdown.inert` and `markdown.code`
            loader=jinja2.FileSystemLoader(Path(__file__).parent),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.filters.update(plural=plural, inert=inert, code=code, dataset=dataset_name)
        commands, where = reproduction(self.run)
        datasets = [self._dataset(name) for name in self.run.datasets]
        view = RunView(self.run, self._cells, self._account, self._failures, self._published, section_of)
        text = environment.get_template("page.md.j2").render(
            run=self.run,
            state=missing_parts(self.run, self._folder),
            datasets=datasets,
            sections=self._kept(make(view) for make in RUN_SECTIONS),
            overfitting_percent=round(100 * OVERFITTING_GAP),
            command=shell_block(*commands),
            where=where,
            started=_utc(self.run.started_at),
            retraining_seeds=sorted({seed for r in self.run.retrainings for seed in r.trial.seeds}),
        )
        return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"

    def _dataset(self, dataset: str) -> dict[str, Any]:
        run, frame = self.run, self._winners[dataset]
        views = [
            StageView(
                run, stage, dataset, self._cells[name, dataset], self._published, self._folder, self._csv[name, dataset]
            )
            for name, stage in run.stages.items()
            if dataset in stage.datasets
        ]
        kinds = [section_of(view.stage) for view in views]
        shown = list(zip(kinds, views, strict=True))
        view = DatasetView(
            run,
            dataset,
            run.datasets[dataset],
            frame,
            [winner for kind, stage in shown for winner in kind.winners(stage)],
            self._account,
            self._published,
            self._folder,
            self._csv.get((None, dataset)),
        )
        headlines = [headline(frame), *(kind.headline(stage, kinds.count(kind) == 1) for kind, stage in shown)]
        sections = itertools.chain(
            (kind.section(stage) for kind, stage in shown), (make(view) for make in DATASET_SECTIONS)
        )
        return {
            "name": dataset,
            "facts": view.facts,
            "headline": " ".join(filter(None, headlines)),
            "sections": self._kept(sections),
        }

    def _kept(self, sections: Iterable[Section | None]) -> list[Section]:
        """Returns the sections that are not None, with unique names for their figures and CSV files."""
        return [self._named(section) for section in sections if section is not None]

    def _named(self, section: Section) -> Section:
        named = []
        for drawing in section.drawings:
            name = untaken(drawing.name, [known.name for known in self.drawings])
            self.drawings.append(dataclasses.replace(drawing, name=name))
            named.append(self.drawings[-1])
        for name, frame in section.frames.items():
            self._add_frame(name, frame)
        return dataclasses.replace(section, drawings=named)


def _remove_others(folder: RunFolder, part: Path, names: set[str], endings: tuple[str, ...]) -> None:
    """Deletes files with the given endings directly in a part of the run, except those that are named."""
    if not part.resolve().is_relative_to(folder.root.resolve()):
        return
    for path in sorted(part.glob("*")):
        if path.suffix in endings and path.name not in names and path.is_file():
            path.unlink()


def _without_unused(frame: pd.DataFrame, prefixes: tuple[str, ...]) -> pd.DataFrame:
    """Returns a frame without those columns of some names that hold nothing."""
    return frame.drop(columns=[name for name in frame if name.startswith(prefixes) and frame[name].isna().all()])


def _csv(frame: pd.DataFrame) -> str:
    buffer = io.StringIO()
    # After `convert_dtypes`, counts stay whole numbers in a column that lacks some.
    frame.convert_dtypes().to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()


def _utc(seconds: float | None) -> str:
    if seconds is None:
        return MISSING
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")

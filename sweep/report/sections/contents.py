"""The contents of a report: its sections with tables and figures, and its CSV files, before any format.

They are made from the run folder alone: the journal and the pictures.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import pandas as pd

from aesweep.report.analysis.account import account_frame, failure_frame, stops_text
from aesweep.report.analysis.audit import audit_frame
from aesweep.report.analysis.frames import BASELINES, RATES, cell_frame, seed_frame, trial_frame, winner_frame
from aesweep.report.figures.style import Drawing, encoded
from aesweep.report.rows.names import file_name, untaken
from aesweep.report.rows.origin import origin_of
from aesweep.report.rows.published import Published
from aesweep.report.rows.reader import read_run
from aesweep.report.sections.missing import missing_parts
from aesweep.report.sections.registry import DATASET_SECTIONS, RUN_SECTIONS, section_of
from aesweep.report.sections.section import DatasetView, RunView, Section, StageView
from aesweep.report.sections.winners import headline
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState


@dataclasses.dataclass(frozen=True)
class DatasetPart:
    """What the report shows of one data set.

    Attributes:
        name: the data set's name.
        facts: number and shape of its images, and their hash.
        headline: sentences for the top of the report, as markdown; it may be empty.
        sections: its sections.
    """

    name: str
    facts: dict[str, Any]
    headline: str
    sections: list[Section]


class Contents:
    """Everything that a report shows, made once for all formats. Figures are drawn while it is made.

    Args:
        state: the state of the run.
        folder: the run's folder, which holds the journal and the pictures.

    Attributes:
        state, folder: as given.
        run: the rows of the run.
        origin: the hashes of the journal and the pictures.
        missing: lines on what the run lacks, as markdown; a complete run has none.
        datasets: what is shown of each data set.
        sections: the sections on the whole run.
        frames: name of a CSV file to its frame.
        drawings: every figure that the sections show.
    """

    def __init__(self, state: RunState, folder: RunFolder):
        self.state, self.folder = state, folder
        self.run = run = read_run(state)
        self.origin = origin_of(folder, state)
        self.drawings: list[Drawing] = []
        self._encoded: dict[tuple[str, str], bytes] = {}
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
            **({"audit": audits} if len(audits := audit_frame(run)) else {}),
        }
        self._csv: dict[tuple[str | None, str], str] = {}  # by stage and data set; None for a data set's winners
        for (stage, dataset), frame in self._cells.items():
            shown = _without_unused(frame.drop(columns=["rows", "columns"]), (*BASELINES, *RATES))
            self._csv[stage, dataset] = self._add_frame(file_name(dataset, stage), shown)
        for dataset, frame in self._winners.items():
            if len(frame):
                self._csv[None, dataset] = self._add_frame(file_name(dataset, "winners"), _without_unused(frame, RATES))
        self.missing = missing_parts(run, folder)
        self.datasets = [self._dataset(name) for name in run.datasets]
        view = RunView(run, self._cells, self._account, self._failures, self._published, section_of)
        self.sections = self._kept(make(view) for make in RUN_SECTIONS)

    def encoded(self, drawing: Drawing, suffix: str) -> bytes:
        """Returns one of the drawings as the content of a file; it is drawn once for all formats that show it."""
        key = drawing.name, suffix
        if key not in self._encoded:
            self._encoded[key] = encoded(drawing.figure, suffix)
        return self._encoded[key]

    def _add_frame(self, name: str, frame: pd.DataFrame) -> str:
        """Adds a CSV file and returns its name, which is unique whatever stages and data sets are called."""
        file = untaken(name, self.frames)
        self.frames[file] = frame
        return file

    def _dataset(self, dataset: str) -> DatasetPart:
        run, frame = self.run, self._winners[dataset]
        views = [
            StageView(
                run, stage, dataset, self._cells[name, dataset], self._published, self.folder, self._csv[name, dataset]
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
            self.folder,
            self._csv.get((None, dataset)),
        )
        headlines = [headline(frame), *(kind.headline(stage, kinds.count(kind) == 1) for kind, stage in shown)]
        sections = itertools.chain(
            (kind.section(stage) for kind, stage in shown), (make(view) for make in DATASET_SECTIONS)
        )
        return DatasetPart(dataset, view.facts, " ".join(filter(None, headlines)), self._kept(sections))

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


def _without_unused(frame: pd.DataFrame, prefixes: tuple[str, ...]) -> pd.DataFrame:
    """Returns a frame without those columns of some names that hold nothing."""
    return frame.drop(columns=[name for name in frame if name.startswith(prefixes) and frame[name].isna().all()])

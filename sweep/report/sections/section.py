"""The interface of a section of the page, and the views that it is made from: the extension point for more sections.

A section of a stage is a `StageSection`; one of a data set, or of the whole run, is a function from its view to a
`Section`. `registry.py` lists them all, and the page uses nothing else.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import pandas as pd

from aesweep.process.wording import plural
from aesweep.report.analysis.leads import lead_frame
from aesweep.report.figures.style import Drawing
from aesweep.report.rows.names import file_name
from aesweep.report.rows.published import Published
from aesweep.report.rows.types import Run, Stage, Trial
from aesweep.report.sections.cells import table_notes
from aesweep.report.sections.chance import Chance
from aesweep.report.sections.example_images import pictures
from aesweep.report.text.markdown import inert
from aesweep.report.text.table import Table
from aesweep.storage.run_folder import RunFolder

# Maps a stage, its frame of cells and its allowance for chance to a verdict and its reason; None if it cannot tell.
Claim = Callable[[Stage, pd.DataFrame, Chance], tuple[str, str] | None]


@dataclasses.dataclass(frozen=True)
class Section:
    """What the page shows under one heading, in this order. All texts are markdown, with text from the run made inert.

    Attributes:
        title: the heading.
        intro: a paragraph.
        tables: tables, each with a line above it.
        footer: the meaning of signs in the tables, and where the CSV files are.
        prose: sentences, each of which becomes a bullet.
        drawings: figures.
        closing: a last paragraph.
        frames: additional CSV files of the section, by name.
    """

    title: str
    intro: str = ""
    tables: list[Table] = dataclasses.field(default_factory=list)
    footer: str = ""
    prose: list[str] = dataclasses.field(default_factory=list)
    drawings: list[Drawing] = dataclasses.field(default_factory=list)
    closing: str = ""
    frames: dict[str, pd.DataFrame] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class StageView:
    """What there is to show of one stage on one data set.

    Attributes:
        frame: its cells, from `cell_frame`.
        published: published numbers to show beside the run's.
        folder: the run's folder, which holds the pictures.
        csv: name of the CSV file of the frame.
    """

    run: Run
    stage: Stage
    dataset: str
    frame: pd.DataFrame
    published: Published
    folder: RunFolder
    csv: str = ""

    @property
    def name(self) -> str:
        """The prefix of the names of its figures' files."""
        return file_name(self.dataset, self.stage.name)

    @functools.cached_property
    def leads(self) -> pd.DataFrame:
        """The frame from `lead_frame`, which a section's table, sentences and CSV file share."""
        return lead_frame(self.run, self.stage, self.dataset)


@dataclasses.dataclass(frozen=True)
class DatasetView:
    """What there is to show of one data set besides its stages.

    Attributes:
        facts: number and shape of its images.
        winners: frame from `winner_frame`.
        configurations: (label, trial) of the stages' winners.
        account: frame from `account_frame`.
        csv: name of the CSV file of the winners; None if there are no winners.
    """

    run: Run
    dataset: str
    facts: dict[str, Any]
    winners: pd.DataFrame
    configurations: list[tuple[str, Trial]]
    account: pd.DataFrame
    published: Published
    folder: RunFolder
    csv: str | None


@dataclasses.dataclass(frozen=True)
class RunView:
    """What there is to show of the whole run.

    Attributes:
        cells: (stage, data set) to its frame of cells.
        account, failures: frames from `account_frame` and `failure_frame`.
        section_of: returns how a stage is shown.
    """

    run: Run
    cells: dict[tuple[str, str], pd.DataFrame]
    account: pd.DataFrame
    failures: pd.DataFrame
    published: Published
    section_of: Callable[[Stage], StageSection]


class StageSection:
    """How stages of one kind are shown. A subclass defines which stages these are, and what differs from the others.

    Attributes:
        rows: the axes that make a stage one of the kind if they are the rows of its table.
    """

    rows: tuple[str, ...] = ()

    @property
    def claims(self) -> dict[str, Claim]:
        """The functions by which such a stage checks published claims, by the text of the claim."""
        return {}

    def section(self, view: StageView) -> Section:
        """Returns the stage's section."""
        provisional = " **Provisional:** the stage has not ended." if view.stage.seconds is None else ""
        notes = self.notes(view)
        # A stage of any kind may hold denoisers, for example if the columns of its table are noise variances.
        drawings = [*self.drawings(view), *pictures(view.run, view.folder, view.dataset, "denoising", view.stage.name)]
        return Section(
            inert(view.stage.name.replace("_", " ").capitalize()),
            self.intro(view) + provisional,
            [table for table in self.tables(view) if table],
            f"{notes}{' ' if notes else ''}([CSV](tables/{view.csv}.csv))",
            self.prose(view),
            [drawing for drawing in drawings if drawing],
            frames=self.frames(view),
        )

    def intro(self, view: StageView) -> str:
        """Says how many trials, seeds and images stand behind the numbers, and on which split they were judged."""
        stage, dataset, facts = view.stage, view.dataset, view.run.datasets[view.dataset]
        training = min(stage.training_images or facts["num_training_images"], facts["num_training_images"])
        validation = min(stage.validation_images or facts["num_validation_images"], facts["num_validation_images"])
        trials = [trial for trial in stage.trials if trial.dataset == dataset]
        return (
            f"{plural(len(trials), 'trial')} in {plural(len(stage.cells(dataset)), 'cell')}, "
            f"{plural(len(trials[0].seeds), 'seed')} each, up to {plural(stage.epochs, 'epoch')} on "
            f"{plural(training, 'training image')}, "
            f"on which the baselines were fitted too; judged on {plural(validation, 'validation image')}, by which "
            "alone the winner of each cell was selected."
        )

    def tables(self, view: StageView) -> list[Table]:
        """Returns the tables; those without rows are left out of the page."""
        return []

    def notes(self, view: StageView) -> str:
        """Explains the signs in the tables."""
        return table_notes(view.stage, view.dataset, view.frame, view.published)

    def prose(self, view: StageView) -> list[str]:
        """Returns sentences on what the numbers show."""
        return []

    def drawings(self, view: StageView) -> list[Drawing | None]:
        """Returns the figures, with None for one that has nothing to show."""
        return []

    def frames(self, view: StageView) -> dict[str, pd.DataFrame]:
        """Returns CSV files beside that of the cells, by name."""
        return {}

    def headline(self, view: StageView, is_alone: bool) -> str | None:
        """Returns a sentence for the top of the page; `is_alone` if the data set has no other stage of the kind."""
        return None

    def winners(self, view: StageView) -> list[tuple[str, Trial]]:
        """Returns (label, trial) of the winners whose configurations are shown in full."""
        best = view.stage.best(view.dataset)
        return [(view.stage.name, best)] if best else []

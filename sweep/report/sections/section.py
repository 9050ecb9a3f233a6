"""What a section of the page is made from, and what one has to offer: the seam for sections of one's own.

A section of a stage is a `StageSection`; one of a data set, or of the whole run, is a function from its view to a
`Section`. `registry.py` lists them all, and the page asks nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pandas as pd

from aesweep.process.wording import plural
from aesweep.report.figures.style import Drawing
from aesweep.report.rows.names import file_name
from aesweep.report.rows.published import Published
from aesweep.report.rows.types import Run, Stage, Trial
from aesweep.report.sections.cells import table_notes
from aesweep.report.sections.chance import Chance
from aesweep.report.sections.example_images import pictures
from aesweep.report.text.markdown import inert
from aesweep.storage.run_folder import RunFolder

# From a stage, its frame of cells and what chance allows to a verdict and its ground; None where it cannot tell.
Claim = Callable[[Stage, pd.DataFrame, Chance], tuple[str, str] | None]


@dataclasses.dataclass(frozen=True)
class Section:
    """What the page shows under one heading, in this order. All texts are markdown, in which a run's words are inert.

    Attributes:
        title: the heading.
        intro: a paragraph.
        tables: (a line above, a table); the line may be empty.
        footer: what signs in the tables mean, and where the CSV files are.
        prose: sentences, each a bullet.
        drawings: figures.
        closing: a last paragraph.
        frames: CSV files of its own, by name.
    """

    title: str
    intro: str = ""
    tables: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    footer: str = ""
    prose: list[str] = dataclasses.field(default_factory=list)
    drawings: list[Drawing] = dataclasses.field(default_factory=list)
    closing: str = ""
    frames: dict[str, pd.DataFrame] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class StageView:
    """What there is to show of one stage on one data set.

    Attributes:
        frame: its cells, of `cell_table`.
        published: numbers to show beside.
        folder: where pictures lie.
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
        """How its figures' files begin."""
        return file_name(self.dataset, self.stage.name)


@dataclasses.dataclass(frozen=True)
class DatasetView:
    """What there is to show of one data set beside its stages.

    Attributes:
        facts: number and shape of its images.
        winners: of `winner_table`.
        configurations: (label, trial) of the stages' winners.
        account: of `account_table`.
        csv: name of the CSV file of the winners.
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
        account, failures: of `account_table` and `failure_table`.
        section_of: how a stage is shown.
    """

    run: Run
    cells: dict[tuple[str, str], pd.DataFrame]
    account: pd.DataFrame
    failures: pd.DataFrame
    published: Published
    section_of: Callable[[Stage], StageSection]


class StageSection:
    """How stages of one kind are shown. A subclass says which they are, and what differs from the others.

    Attributes:
        rows: the axes that make a stage one of the kind, where they are the rows of its table.
    """

    rows: tuple[str, ...] = ()

    @property
    def claims(self) -> dict[str, Claim]:
        """How such a stage checks published claims, by their words."""
        return {}

    def section(self, view: StageView) -> Section:
        """The stage's section."""
        provisional = " **Provisional:** the stage has not ended." if view.stage.seconds is None else ""
        notes = self.notes(view)
        # A stage of any kind may hold denoisers, as where the noise variance makes the columns of its table.
        drawings = [*self.drawings(view), *pictures(view.run, view.folder, view.dataset, "denoising", view.stage.name)]
        return Section(
            inert(view.stage.name.replace("_", " ").capitalize()),
            self.intro(view) + provisional,
            [(caption, text) for caption, text in self.tables(view) if text],
            f"{notes}{' ' if notes else ''}([CSV](tables/{view.csv}.csv))",
            self.prose(view),
            [drawing for drawing in drawings if drawing],
        )

    def intro(self, view: StageView) -> str:
        """How many trials, seeds and images stand behind the numbers, and on which split they were judged."""
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

    def tables(self, view: StageView) -> list[tuple[str, str]]:
        """(A line above, markdown) of each table; those without text are left out."""
        return []

    def notes(self, view: StageView) -> str:
        """What signs in the tables mean."""
        return table_notes(view.stage, view.dataset, view.frame, view.published)

    def prose(self, view: StageView) -> list[str]:
        """What the numbers say, a sentence each."""
        return []

    def drawings(self, view: StageView) -> list[Drawing | None]:
        """The figures; None for one that has nothing to show."""
        return []

    def headline(self, view: StageView, is_alone: bool) -> str | None:
        """A sentence for the top of the page; `is_alone` where no other stage of the kind is on the data set."""
        return None

    def winners(self, view: StageView) -> list[tuple[str, Trial]]:
        """(Label, trial) of those whose configurations are shown in full."""
        best = view.stage.best(view.dataset)
        return [(view.stage.name, best)] if best else []

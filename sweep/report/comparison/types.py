"""Typed rows of a comparison of two runs: what a page, a script or a notebook shows of it."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from aesweep.report.analysis.significance import LEVEL, TTest
from aesweep.report.rows.types import Cell
from aesweep.search.winners import is_better


class Verdict(enum.StrEnum):
    """Whether a difference is more than seeds explain.

    SAME: it is not. DIFFERS: it is. CONFIGURATION: the two models differ, but so does what the search drew or chose for
    them, which another seed would change as well. UNKNOWN: there is no spread to judge it by.
    """

    SAME = "no difference found"
    DIFFERS = "differs"
    CONFIGURATION = "differs with its configuration"
    UNKNOWN = "cannot be judged"


class Basis(enum.StrEnum):
    """The spread by which a difference is judged, see `noise.py`."""

    WELCH = "seeds of the two sides"
    TRIALS = "seeds of the stage's trials"
    RETRAININGS = "seeds of the retrainings"
    CELLS = "differences of the other cells"
    NONE = "none"


@dataclasses.dataclass(frozen=True)
class KeyDifference:
    """A dotted key whose values differ; None stands for a value that is not there.

    Attributes:
        key: such as stages.architecture.epochs.
        reference, other: plain values.
    """

    key: str
    reference: Any
    other: Any


@dataclasses.dataclass(frozen=True)
class Side:
    """What one run reached in a cell, or with a retrained winner.

    Attributes:
        value: of the metric; the mean over seeds.
        seeds: the seeds behind it.
        trials: names of the trial, or of the retrainings.
        cell: the cell of the trial.
        epochs: number of epochs of training.
        num_trials: number of the cell's trials, of which this is the best.
    """

    value: float
    seeds: tuple[int, ...]
    trials: tuple[str, ...]
    cell: Cell
    epochs: int
    num_trials: int


@dataclasses.dataclass(frozen=True)
class Row:
    """One value of two runs.

    Attributes:
        dataset: the data set.
        stages: the stage; of a retrained winner, all stages whose winner it is in both runs.
        quantity: "mse" or "psnr_db", on validation images for a cell and on test images for a retrained winner.
        mode: "min" if a smaller value is better, else "max".
        changed: fields in which the two configurations differ.
        basis: what the test rests on.
        test: in the quantity's unit; None if there is no spread to judge by.
        adjusted_p: p-value after Holm's correction.
        verdict: the result.
    """

    dataset: str
    stages: tuple[str, ...]
    quantity: str
    mode: str
    reference: Side
    other: Side
    changed: tuple[str, ...]
    basis: Basis
    test: TTest | None
    adjusted_p: float | None = None
    verdict: Verdict = Verdict.UNKNOWN

    @property
    def difference(self) -> float:
        """The other run's value minus the reference's."""
        return self.other.value - self.reference.value

    @property
    def is_better(self) -> bool:
        """Whether the other run's value is better than the reference's."""
        return is_better(self.mode, self.other.value, self.reference.value)

    def judged(self, adjusted_p: float | None, searched: frozenset[str]) -> Row:
        """Returns the row with its verdict.

        Args:
            adjusted_p: p-value after correction; None if there is no test.
            searched: fields of a configuration that may differ by chance.
        """
        verdict = _verdict(adjusted_p)
        if verdict is Verdict.DIFFERS and searched.intersection(self.changed):
            verdict = Verdict.CONFIGURATION
        return dataclasses.replace(self, adjusted_p=adjusted_p, verdict=verdict)


@dataclasses.dataclass(frozen=True)
class Overall:
    """The cells of a table together, see `overall.py`.

    Attributes:
        difference: mean over cells of the difference, of an MSE as a share of the reference's (geometric mean).
        num_better, num_worse: number of cells in which the other run is better, and worse.
        test: on the scale of the difference; None if there is no spread to judge by.
        adjusted_p: p-value after Holm's correction.
        verdict: the result.
    """

    difference: float
    num_better: int
    num_worse: int
    test: TTest | None
    adjusted_p: float | None = None
    verdict: Verdict = Verdict.UNKNOWN

    def judged(self, adjusted_p: float | None) -> Overall:
        """Returns the same with its verdict."""
        verdict = _verdict(adjusted_p)
        return dataclasses.replace(self, adjusted_p=adjusted_p, verdict=verdict)


def _verdict(adjusted_p: float | None) -> Verdict:
    if adjusted_p is None:
        return Verdict.UNKNOWN
    return Verdict.DIFFERS if adjusted_p < LEVEL else Verdict.SAME


@dataclasses.dataclass(frozen=True)
class StageTable:
    """The cells of a stage on a data set that both runs have.

    Attributes:
        axes: the axes of its table.
        rows: cells in which both runs have a winner, in the reference's order.
        overall: all of them together; None if no cell is compared.
        missing: the other cells, each with the reason why it is not compared.
        basis: what the tests rest on.
        deviation: relative standard deviation of a single value (of an MSE) or its deviation in dB, where it is
            estimated from trials or retrainings; root mean square of the differences, where it is estimated from cells.
        other_images: whether the two runs validate on different images of the data set.
        is_provisional: whether the stage has not ended in one of the runs.
    """

    stage: str
    dataset: str
    quantity: str
    axes: tuple[str, ...]
    rows: tuple[Row, ...]
    overall: Overall | None
    missing: tuple[tuple[Cell, str], ...]
    basis: Basis
    deviation: float | None
    other_images: bool
    is_provisional: bool


@dataclasses.dataclass(frozen=True)
class SeedSet:
    """The seeds of a part of both runs.

    Attributes:
        part: "study", the name of a stage, or "retraining".
    """

    part: str
    reference: tuple[int, ...]
    other: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class DatasetPair:
    """A data set of either run; None where a run lacks it.

    Attributes:
        reference, other: sha256 of its images.
    """

    name: str
    reference: str | None
    other: str | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A run beside the reference.

    Attributes:
        reference, other: names of the runs.
        unfinished: name and status of those that have not come to their end, so that more may follow.
        study, record, environment: keys that differ: of the study, of what was run, of versions and hardware.
        draws_anew: whether the two studies have different seeds, so that their searches draw other configurations.
        tables: the cells, stage by stage.
        winners: the retrained winners.
    """

    reference: str
    other: str
    unfinished: tuple[tuple[str, str], ...]
    study: tuple[KeyDifference, ...]
    record: tuple[KeyDifference, ...]
    environment: tuple[KeyDifference, ...]
    datasets: tuple[DatasetPair, ...]
    seeds: tuple[SeedSet, ...]
    draws_anew: bool
    tables: tuple[StageTable, ...]
    winners: tuple[Row, ...]

    @property
    def cells(self) -> list[Row]:
        """The rows of all tables."""
        return [row for table in self.tables for row in table.rows]

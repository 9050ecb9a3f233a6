"""A winner of a run: what it is, what it reached, and which of its trained models there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aesweep.report.analysis.frames import retrained_as
from aesweep.report.rows.names import cell_name
from aesweep.report.rows.types import Run, Stage, Trial
from aesweep.study.configuration import Configuration

if TYPE_CHECKING:
    from aesweep.results.image_autoencoder import ImageAutoencoder


@dataclasses.dataclass(frozen=True)
class Winner:
    """The best fully trained trial of a cell, or of a stage.

    Attributes:
        stage, dataset: names of its stage and data set.
        cell: axis name to value.
        trial: its name; `run.model(winner.trial)` is the model of the search.
        value: the stage's metric at its last epoch.
        metric: that metric.
        configuration: what it trained.
        retrainings: names of its retrainings of the longest budget, one per seed; empty where it was not retrained.
    """

    stage: str
    dataset: str
    cell: Mapping[str, Any]
    trial: str
    value: float
    metric: str
    configuration: Configuration
    retrainings: tuple[str, ...]
    _load: Callable[[str], ImageAutoencoder] = dataclasses.field(repr=False, compare=False)

    def model(self) -> ImageAutoencoder:
        """Returns its model: that of the first seed of its retrainings, or of the search where it has none."""
        return self._load(self.retrainings[0] if self.retrainings else self.trial)

    def __str__(self) -> str:
        return f"{self.trial} ({self.stage} on {self.dataset}, {cell_name(self.cell.items())})"


def winners(run: Run, load: Callable[[str], ImageAutoencoder]) -> Iterator[Winner]:
    """Yields the winner of each cell of a run, of each stage and data set the best one first."""
    for stage in run.stages.values():
        for dataset in stage.datasets:
            known = [trial for trial in stage.cells(dataset).values() if trial is not None]
            while known:
                trial = stage.best_of(known)
                known.remove(trial)
                yield _winner(run, stage, trial, load)


def _winner(run: Run, stage: Stage, trial: Trial, load: Callable[[str], ImageAutoencoder]) -> Winner:
    return Winner(
        stage=stage.name,
        dataset=trial.dataset,
        cell=dict(trial.cell),
        trial=trial.name,
        value=trial.value(stage.metric),
        metric=stage.metric,
        configuration=trial.configuration,
        retrainings=tuple(retraining.trial.name for retraining in retrained_as(run, trial)),
        _load=load,
    )

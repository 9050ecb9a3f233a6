"""The specification that a worker receives: one configuration with all that its training needs, in plain values."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from aesweep.study.configuration import SHARED, Configuration


@dataclasses.dataclass(frozen=True)
class TrialSpec:
    """One trial of a search, or one retraining of a winner.

    Files are named as in `aesweep.storage.artifacts`, relative to the run, since workers may be on other machines.

    Attributes:
        trial: its id, unique in the run; the journal's rows carry it.
        purpose: "search" trains on a subset of the training images and is evaluated on validation images; "retraining"
            trains on both together and opens the test set once, at its end.
        dataset: name of the data set.
        configuration: what is trained.
        seeds: the seeds of the trial; its pack has one member for each.
        epochs: the full budget; schedules of the learning rate span it.
        split_seed: the study's seed, from which splits, subsets and evaluation noise follow.
        validation_fraction: share of the training images that is cut off for validation.
        training_images: size of the training subset; None for all.
        validation_images: size of the validation subset; None for all.
        precision: "fp32", "tf32" or "bf16" matrix products.
        cell: pairs of axis name and value, the trial's cell in its stage's table.
        checkpoint: name of the file for the trained model; None to write none.
        states: name of the folder for the states from which a killed training continues; None to keep none.
        state_interval_s: time between two of these states, in seconds.
        bracket: number of rungs at which it is not compared; None where its stage has no brackets.
        is_drawn: whether it is trained on out of competition where ASHA stops it.
        rungs: epochs after which a state is kept in any case.
        recorded: number of epochs that the journal holds already.
    """

    trial: str
    purpose: Literal["search", "retraining"]
    dataset: str
    configuration: Configuration
    seeds: tuple[int, ...]
    epochs: int
    split_seed: int
    validation_fraction: float
    training_images: int | None
    validation_images: int | None
    precision: str
    cell: tuple[tuple[str, Any], ...] = ()
    bracket: int | None = None
    is_drawn: bool = False
    checkpoint: str | None = None
    states: str | None = None
    state_interval_s: float = 30.0
    rungs: tuple[int, ...] = ()
    recorded: int = 0

    @property
    def rivals(self) -> tuple[Any, ...]:
        """The key that a trial shares with those that ASHA compares it with: data set, cell, budget and bracket."""
        return self.dataset, self.cell, self.epochs, self.bracket


def pack_key(spec: TrialSpec) -> tuple[Any, ...]:
    """Returns the key that trials of one pack have in common: training images, precision, shape and batch size."""
    images = (spec.dataset, spec.purpose, spec.split_seed, spec.validation_fraction, spec.training_images)
    return (*images, spec.precision, *(getattr(spec.configuration, name) for name in SHARED))

"""What is handed to a worker: one configuration with everything that its training needs, in plain values."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from aesweep.configuration import SHARED, Configuration
from aesweep.search_space import draw
from aesweep.study import Stage, Study


@dataclasses.dataclass(frozen=True)
class Job:
    """One trial of a search, or one retraining of a winner.

    Names of files are those of `aesweep.files`, relative to the run, since workers may be on other machines.

    Attributes:
        trial: its id, unique in the run; the journal's rows carry it.
        purpose: "search" trains on a subset of the training images and is judged on validation images; "retraining"
            trains on both together and opens the test set once, at its end.
        dataset: name of the images.
        configuration: what is trained.
        seeds: one member of the trial's pack for each.
        epochs: the full budget; schedules of the learning rate span it.
        split_seed: the study's seed, from which splits, subsets and evaluation noise follow.
        validation_fraction: share of the training images that is cut off for validation.
        training_images: size of the training subset; None for all.
        validation_images: size of the validation subset; None for all.
        precision: "fp32", "tf32" or "bf16" matrix products.
        cell: axis name to value, where the trial stands in its stage's table.
        checkpoint: name of the file for the trained model; None for none.
        states: name of the folder for what a killed training goes on from; None to keep nothing.
        state_interval_s: time between two of these states.
        rungs: epochs after which one is kept in any case.
        recorded: epochs that the journal holds of an earlier session.
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
    checkpoint: str | None = None
    states: str | None = None
    state_interval_s: float = 30.0
    rungs: tuple[int, ...] = ()
    recorded: int = 0

    @property
    def rivals(self) -> tuple[Any, ...]:
        """What a trial shares with those that ASHA compares it with: data set, cell and budget."""
        return self.dataset, self.cell, self.epochs


def pack_key(job: Job) -> tuple[Any, ...]:
    """What jobs have in common that may share a pack: images to train on, precision, shape and batch size."""
    images = (job.dataset, job.purpose, job.split_seed, job.validation_fraction, job.training_images)
    return (*images, job.precision, *(getattr(job.configuration, name) for name in SHARED))


def cell_key(cell: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """A cell as something that can be a dictionary's key: widths as tuples."""
    return tuple((axis, tuple(value) if isinstance(value, list) else value) for axis, value in cell.items())


def stage_jobs(study: Study, stage_name: str, bases: dict[str, Configuration | None]) -> list[Job]:
    """The trials of a stage, in the order in which they should start: the first sample of every cell comes first.

    Args:
        study: the whole study.
        stage_name: one of its stages.
        bases: for each data set to search, the configuration that the stage starts from; None for the defaults.

    Returns:
        The jobs; the same study and bases give the same list anywhere.
    """
    stage = study.stages[stage_name]
    jobs = []
    for dataset, base in bases.items():
        drawn = draw(stage.space, stage.samples, f"{study.seed}/{stage_name}", base)
        for number, configuration in enumerate(drawn):
            cell = tuple((axis, getattr(configuration, axis)) for axis in stage.table.axes())
            jobs.append(
                (
                    number,
                    Job(
                        trial=f"{stage_name}-{dataset}-{number:04d}",
                        purpose="search",
                        dataset=dataset,
                        configuration=configuration,
                        seeds=tuple(study.seed + k for k in range(stage.seeds)),
                        epochs=stage.epochs,
                        split_seed=study.seed,
                        validation_fraction=study.validation_fraction,
                        training_images=stage.training_images,
                        validation_images=stage.validation_images,
                        precision=study.precision,
                        cell=cell,
                        rungs=tuple(stage.rungs()),
                    ),
                )
            )
    return [job for _, job in sorted(jobs, key=lambda item: item[0])]


def opening_fields(stage_name: str, stage: Stage, jobs: list[Job]) -> dict[str, Any]:
    """What is recorded of a stage when it begins, or is extended; all its jobs up to then."""
    return {
        "stage": stage_name,
        "num_trials": len(jobs),
        "num_cells": len({(job.dataset, job.cell) for job in jobs}),
        "rungs": stage.rungs(),
        "epochs": stage.epochs,
        "training_images": stage.training_images,
        "validation_images": stage.validation_images,
        "metric": stage.metric,
        "mode": stage.mode,
        "table": stage.table.model_dump(),
    }


def trial_fields(stage_name: str, job: Job) -> dict[str, Any]:
    """What is recorded of a trial before it is trained."""
    return {
        "stage": stage_name,
        "dataset": job.dataset,
        "trial": job.trial,
        "cell": dict(job.cell),
        "configuration": job.configuration.as_dict(),
        "seeds": list(job.seeds),
        "epochs": job.epochs,
    }

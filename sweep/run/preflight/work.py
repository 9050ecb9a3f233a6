"""Counts what a study trains: for each kind of model, on how many images, with how many members at once."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aesweep.run.preflight.pack_plan import packed_members
from aesweep.search.schedulers.brackets import bracket_rungs
from aesweep.search.stages import stage_trials
from aesweep.search.trial_spec import TrialSpec, pack_key
from aesweep.study.configuration import Configuration
from aesweep.study.resources import Resources
from aesweep.study.schema import Stage, Study
from aesweep.training.trial_images import count_images

Sizes = Mapping[str, tuple[int, tuple[int, ...]]]
Cost = Callable[[Configuration, tuple[int, ...]], float]


@dataclasses.dataclass(frozen=True)
class Work:
    """Training of some members of a kind.

    Attributes:
        configuration: their model and batch size.
        image_shape: shape of an image, (C, H, W).
        num_members: number of members that share a pack at a time.
        num_images: number of images that they are trained on, each counted once an epoch and member.
    """

    configuration: Configuration
    image_shape: tuple[int, ...]
    num_members: int
    num_images: float


@dataclasses.dataclass(frozen=True)
class StageWork:
    """The work of a stage, and that of retraining its winners.

    Attributes:
        specs: the stage's trials.
        search: the work of each trial, with the epochs that it is expected to train.
        retraining: the work of each winner's seeds.
        epochs_without_stopping: number of epochs that are trained if ASHA stops no trial.
        epochs_expected: number of epochs that are expected, see `expected_epochs`.
        retraining_epochs: number of epochs of all retrainings together.
    """

    specs: list[TrialSpec]
    search: list[Work]
    retraining: list[Work]
    epochs_without_stopping: int
    epochs_expected: int
    retraining_epochs: int


def study_work(study: Study, sizes: Sizes, resources: Resources, cost: Cost) -> Iterator[tuple[str, StageWork]]:
    """Yields each stage's name and its work, in their order.

    A stage that starts from another's winner is planned with that stage's costliest configuration, because the winner
    is not known yet; so is a retraining, with that of the stage or of its cell.

    Args:
        study: the study.
        sizes: data set name to (number of training images, shape of an image (C, H, W)).
        resources: on what trials train, with a number of trainers.
        cost: returns a number that orders configurations, for images of a shape, by what training costs.
    """
    costliest: dict[tuple[str, str], Configuration] = {}
    for name, stage in study.stages.items():
        bases = {one.name: costliest[stage.from_, one.name] if stage.from_ else None for one in study.datasets}
        specs = stage_trials(study, name, bases)
        for dataset, (_, image_shape) in sizes.items():
            mine = [spec for spec in specs if spec.dataset == dataset]
            (costliest[name, dataset],) = _costliest(mine, image_shape, cost)
        retraining, retraining_epochs = _retraining(study, stage, specs, sizes, cost)
        num_rivals = Counter(spec.rivals for spec in specs)
        expected = {spec.rivals: expected_epochs(num_rivals[spec.rivals], stage, spec.bracket) for spec in specs}
        packed = packed_members(specs, resources)
        search = [
            Work(
                spec.configuration,
                sizes[spec.dataset][1],
                packed[pack_key(spec)].members_at_once,
                expected[spec.rivals] / num_rivals[spec.rivals] * _num_images(spec, sizes) * len(spec.seeds),
            )
            for spec in specs
        ]
        yield (
            name,
            StageWork(specs, search, retraining, len(specs) * stage.epochs, sum(expected.values()), retraining_epochs),
        )


def expected_epochs(num_trials: int, stage: Stage, bracket: int | None = None) -> int:
    """Returns the epochs that rivals train if every rung keeps one trial in `reduction_factor`, and at least one.

    Those of stopped trials that are expected to go on out of competition are counted.

    Args:
        num_trials: number of trials of a cell, or of one of its brackets.
        stage: the stage's settings.
        bracket: their bracket.
    """
    alive, since, total = num_trials, 0, 0.0
    for rung in bracket_rungs(stage, bracket):
        total += alive * (rung - since)
        before, since, alive = alive, rung, max(1, round(alive / stage.asha.reduction_factor))
        total += (before - alive) * (stage.asha.audit or 0) * (stage.epochs - rung)
    return round(total + alive * (stage.epochs - since))


def model_bytes(configuration: Configuration, image_shape: tuple[int, ...]) -> int:
    """Returns the size of a model's parameters in fp32, in bytes, for images of a shape (C, H, W)."""
    from aesweep.training.engine.member import architecture_of

    return 4 * architecture_of(configuration, image_shape).layout.num_parameters


def _retraining(study: Study, stage: Stage, specs: list[TrialSpec], sizes: Sizes, cost: Cost) -> tuple[list[Work], int]:
    """Returns the work of retraining a stage's winners, one for each, and the number of epochs of all together."""
    if stage.retraining.of == "none":
        return [], 0
    seeds = stage.retraining.seeds or study.retraining.seeds
    epochs = stage.retraining.epochs or study.retraining.epochs
    work = [
        Work(winner, image_shape, seeds, seeds * epochs * num_images)
        for dataset, (num_images, image_shape) in sizes.items()
        for winner in _costliest(
            [spec for spec in specs if spec.dataset == dataset], image_shape, cost, stage.retraining.of == "cells"
        )
    ]
    return work, seeds * epochs * len(work)


def _costliest(
    specs: list[TrialSpec], image_shape: tuple[int, ...], cost: Cost, of_cells: bool = False
) -> list[Configuration]:
    """Returns the costliest configuration of a data set's trials, or of each of their cells."""
    groups: dict[Any, list[Configuration]] = {}
    for spec in specs:
        groups.setdefault(spec.cell if of_cells else None, []).append(spec.configuration)
    return [max(found, key=lambda one: cost(one, image_shape)) for found in groups.values()]


def _num_images(spec: TrialSpec, sizes: Sizes) -> int:
    return count_images(spec, sizes[spec.dataset][0])[0]

"""Estimates what a study would run, and about how long it would take here; it trains nothing but a few timed steps."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from typing import Any

import numpy as np
from tabulate import tabulate

from aesweep.run.preflight.pack_plan import PackPlan, plan_packs
from aesweep.search.samplers.registry import learns
from aesweep.search.schedulers.brackets import bracket_rungs
from aesweep.search.stages import stage_trials
from aesweep.search.trial_spec import TrialSpec
from aesweep.study.configuration import SHARED, Configuration
from aesweep.study.schema import Stage, Study
from aesweep.training.trial_images import count_images

TIMED_STEPS = 8
_STATE_MODELS = 2 * 3  # the newest two states, each with the parameters and Adam's two moments


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """What a stage would run.

    Attributes:
        num_trials, num_cells: totals over all data sets.
        rungs: epochs at which ASHA decides.
        epochs_without_stopping: number of epochs that are trained if ASHA stops no trial.
        epochs_expected: number of epochs that are trained if each rung keeps one trial in `reduction_factor` of a cell,
            and at least one.
        seconds: expected duration on the given number of workers.
        state_bytes: the most disk space that the states of trials under training take, with one trial per worker.
        checkpoint_bytes: disk space of the best model in each cell, which is kept.
        packs: which trials share packs.
        learns: whether the configurations depend on what earlier trials measure; other draws stand for them here.
        assumed_from: the stage whose slowest configuration stands for its winner, which is not known yet; None if
            nothing is assumed.
    """

    stage: str
    num_trials: int
    num_cells: int
    rungs: list[int]
    epochs_without_stopping: int
    epochs_expected: int
    seconds: float
    state_bytes: int
    checkpoint_bytes: int
    packs: list[PackPlan]
    learns: bool = False
    assumed_from: str | None = None


def plan_study(
    study: Study, sizes: dict[str, tuple[int, tuple[int, ...]]], num_workers: int
) -> tuple[list[StagePlan], dict[str, Any]]:
    """Plans the stages and the retraining of a study.

    A stage that starts from another's winner is planned with that stage's slowest configuration, because the winner is
    not known yet; so is a retraining, with that of the stage or of its cell. The estimates leave out evaluation, the
    baselines and Ray's own start.

    Args:
        study: the study to plan.
        sizes: data set name to (number of training images, shape of an image (C, H, W)).
        num_workers: number of trials that train at once.

    Returns:
        The stages' plans, and the retraining's as a dict of num_trainings, epochs, seconds and checkpoint_bytes (the
        size of all winners' checkpoints, which are kept).
    """
    timer = _StepTimer(study.precision)
    plans, slowest = [], {}
    retrainings, retraining_epochs, retraining_seconds, checkpoint_bytes = 0, 0, 0.0, 0
    for name, stage in study.stages.items():
        bases = {
            dataset.name: slowest[stage.from_, dataset.name] if stage.from_ else None for dataset in study.datasets
        }
        specs = stage_trials(study, name, bases)
        for dataset, (_, image_shape) in sizes.items():
            mine = [spec for spec in specs if spec.dataset == dataset]
            (slowest[name, dataset],) = _slowest(mine, timer, image_shape)
        full, expected, seconds = _stage_cost(stage, specs, sizes, timer)
        num_cells = len({(spec.dataset, spec.cell) for spec in specs})
        models: dict[tuple, int] = {}
        for spec in specs:
            num_bytes = model_bytes(spec.configuration, sizes[spec.dataset][1])
            cell = spec.dataset, spec.cell
            models[cell] = max(num_bytes, models.get(cell, 0))
        plans.append(
            StagePlan(
                stage=name,
                num_trials=len(specs),
                num_cells=num_cells,
                rungs=stage.rungs(),
                epochs_without_stopping=full,
                epochs_expected=expected,
                seconds=round(seconds / num_workers, 1),
                state_bytes=num_workers * stage.seeds * _STATE_MODELS * max(models.values()),
                checkpoint_bytes=sum(models.values()),
                packs=plan_packs(specs, study.resources, sizes),
                learns=learns(stage),
                assumed_from=stage.from_,
            )
        )
        if stage.retraining.of == "none":
            continue
        per_winner = stage.retraining.seeds or study.retraining.seeds
        epochs = stage.retraining.epochs or study.retraining.epochs
        for dataset, (num_images, image_shape) in sizes.items():
            mine = [spec for spec in specs if spec.dataset == dataset]
            winners = _slowest(mine, timer, image_shape, of_cells=stage.retraining.of == "cells")
            retrainings += per_winner * len(winners)
            checkpoint_bytes += per_winner * sum(model_bytes(winner, image_shape) for winner in winners)
            retraining_epochs += per_winner * len(winners) * epochs
            step = sum(timer.seconds_per_image(winner, image_shape) for winner in winners)
            retraining_seconds += per_winner * epochs * num_images * step
    retraining = {
        "num_trainings": retrainings,
        "epochs": retraining_epochs,
        "seconds": round(retraining_seconds / num_workers, 1),
        "checkpoint_bytes": checkpoint_bytes,
    }
    return plans, retraining


def model_bytes(configuration: Configuration, image_shape: tuple[int, ...]) -> int:
    """Returns the size of a model's parameters in fp32, in bytes, for images of a shape (C, H, W)."""
    from aesweep.training.engine.member import architecture_of

    return 4 * architecture_of(configuration, image_shape).layout.num_parameters


def _slowest(
    specs: list[TrialSpec], timer: _StepTimer, image_shape: tuple[int, ...], of_cells: bool = False
) -> list[Configuration]:
    """Returns the slowest configuration of a data set's trials, or of each of their cells."""
    groups: dict[Any, list[Configuration]] = {}
    for spec in specs:
        groups.setdefault(spec.cell if of_cells else None, []).append(spec.configuration)
    return [max(found, key=lambda one: timer.seconds_per_image(one, image_shape)) for found in groups.values()]


def _stage_cost(
    stage: Stage, specs: list[TrialSpec], sizes: dict[str, tuple[int, tuple[int, ...]]], timer: _StepTimer
) -> tuple[int, int, float]:
    groups: dict[Any, list[TrialSpec]] = {}
    for spec in specs:
        groups.setdefault(spec.rivals, []).append(spec)
    full, expected, seconds = 0, 0, 0.0
    for (dataset, *_, bracket), members in groups.items():
        num_training, image_shape = sizes[dataset]
        num_trained, _ = count_images(members[0], num_training)
        epochs = expected_epochs(len(members), stage, bracket)
        step = statistics.mean(timer.seconds_per_image(spec.configuration, image_shape) for spec in members)
        full += len(members) * stage.epochs
        expected += epochs
        seconds += epochs * num_trained * step * stage.seeds
    return full, expected, seconds


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


def plan_table(stages: list[StagePlan], retraining: dict[str, Any]) -> str:
    """Formats the plan as a markdown table."""
    rows: list[tuple[Any, ...]] = [
        (
            stage.stage,
            stage.num_trials,
            stage.num_cells,
            " ".join(map(str, stage.rungs)) or "none",
            f"{stage.epochs_expected} of {stage.epochs_without_stopping}",
            duration(stage.seconds),
        )
        for stage in stages
    ]
    seconds = duration(retraining["seconds"])
    rows.append(("retraining", retraining["num_trainings"], "", "", retraining["epochs"], seconds))
    return tabulate(rows, ["stage", "trials", "cells", "rungs", "epochs expected", "time"], tablefmt="github")


LEFT_OUT = "Ray's start, judging on validation and test images, the baselines, pictures and the report"


def assumptions(stages: list[StagePlan]) -> list[str]:
    """Returns the assumptions of the plan, a line each."""
    learning = [
        f"{stage.stage}: what its sampler will choose depends on what its trials measure: quasi-random draws stand for "
        "it, and where it finds better ones than these ASHA stops fewer trials"
        for stage in stages
        if stage.learns
    ]
    return learning + [
        f"{stage.stage} starts from the winner of {stage.assumed_from}, which is not known yet: "
        "the slowest configuration there stands for it"
        for stage in stages
        if stage.assumed_from
    ]


def size(num_bytes: int) -> str:
    """Formats a number of bytes in MB or GB."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"


def packs_table(stages: list[StagePlan]) -> str:
    """Formats which trials share packs as a markdown table."""
    rows = [
        (
            stage.stage,
            pack.dataset,
            pack.model + (" (assumed)" if stage.assumed_from else ""),
            pack.batch_size,
            pack.num_trials,
            pack.trials_at_once,
            pack.members_at_once,
            pack.members_per_step,
            size(pack.memory_bytes),
        )
        for stage in stages
        for pack in stage.packs
    ]
    heads = ["stage", "data set", "model", "batch", "trials", "in a pack at once", "members", "in lock-step", "memory"]
    return tabulate(rows, heads, tablefmt="github")


def duration(seconds: float) -> str:
    """Formats a number of seconds in s, min or h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class _StepTimer:
    """Measures the seconds of training per image on this machine, once per architecture and batch size."""

    def __init__(self, precision: str):
        self._precision = precision
        self._known: dict[tuple, float] = {}

    def seconds_per_image(self, configuration: Configuration, image_shape: tuple[int, ...]) -> float:
        key = (*(getattr(configuration, name) for name in SHARED), image_shape)
        if key not in self._known:
            self._known[key] = self._measure(configuration, image_shape)
        return self._known[key]

    def _measure(self, configuration: Configuration, image_shape: tuple[int, ...]) -> float:
        import torch

        from aesweep.training.engine.precision import configure_torch
        from aesweep.training.pack import Pack

        configure_torch(num_threads=1, precision=self._precision)
        try:
            num_images = TIMED_STEPS * configuration.batch_size
            images = np.random.default_rng(0).integers(0, 256, (num_images, math.prod(image_shape)), dtype=np.uint8)
            pack = Pack(images, image_shape=image_shape, precision=self._precision)
            pack.add("timed", configuration, seed=0, epochs=3)
            pack.train_epoch()
            started = time.perf_counter()
            pack.train_epoch()
            return (time.perf_counter() - started) / num_images
        finally:
            # `configure_torch` set this for the current thread, which is the caller's.
            torch.set_flush_denormal(False)

"""Estimates what a study would run, and about how long it would take here; it trains nothing but a few timed steps."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from tabulate import tabulate

from aesweep.run.preflight.pack_plan import PackPlan, plan_packs
from aesweep.run.preflight.step_timer import StepTimer
from aesweep.run.preflight.work import Work, model_bytes, study_work
from aesweep.search.samplers.registry import learns
from aesweep.study.resources import Resources
from aesweep.study.schema import Study

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
        state_bytes: the most disk space that the states of trials under training take, with as many trials at once as
            there is room for.
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
    study: Study,
    sizes: dict[str, tuple[int, tuple[int, ...]]],
    num_devices: float,
    resources: Resources,
    timer: StepTimer,
) -> tuple[list[StagePlan], dict[str, Any]]:
    """Plans the stages and the retraining of a study.

    Winners are not known yet: the slowest configuration of their stage or cell stands for them. The estimates leave out
    evaluation, the baselines and Ray's own start.

    Args:
        study: the study to plan.
        sizes: data set name to (number of training images, shape of an image (C, H, W)).
        num_devices: number of cores or GPUs that train side by side.
        resources: on what trials train, with a number of trainers.
        timer: measures the steps on such a core or GPU.

    Returns:
        The stages' plans, and the retraining's as a dict of num_trainings, epochs, seconds and checkpoint_bytes (the
        size of all winners' checkpoints, which are kept).
    """
    at_once = resources.trainers * resources.trials_per_trainer or math.ceil(num_devices)
    plans, retrainings, retraining_epochs = [], [], 0
    for name, work in study_work(study, sizes, resources, timer.seconds_per_image):
        stage, specs = study.stages[name], work.specs
        models: dict[tuple, int] = {}
        for spec in specs:
            num_bytes = model_bytes(spec.configuration, sizes[spec.dataset][1])
            cell = spec.dataset, spec.cell
            models[cell] = max(num_bytes, models.get(cell, 0))
        plans.append(
            StagePlan(
                stage=name,
                num_trials=len(specs),
                num_cells=len(models),
                rungs=stage.rungs(),
                epochs_without_stopping=work.epochs_without_stopping,
                epochs_expected=work.epochs_expected,
                seconds=round(_seconds(work.search, timer) / num_devices, 1),
                state_bytes=at_once * stage.seeds * _STATE_MODELS * max(models.values()),
                checkpoint_bytes=sum(models.values()),
                packs=plan_packs(specs, resources, sizes),
                learns=learns(stage),
                assumed_from=stage.from_,
            )
        )
        retrainings += work.retraining
        retraining_epochs += work.retraining_epochs
    retraining = {
        "num_trainings": sum(one.num_members for one in retrainings),
        "epochs": retraining_epochs,
        "seconds": round(_seconds(retrainings, timer) / num_devices, 1),
        "checkpoint_bytes": sum(
            one.num_members * model_bytes(one.configuration, one.image_shape) for one in retrainings
        ),
    }
    return plans, retraining


def _seconds(work: list[Work], timer: StepTimer) -> float:
    """Returns how long work takes on one core or GPU."""
    return sum(
        one.num_images * timer.seconds_per_image(one.configuration, one.image_shape, one.num_members) for one in work
    )


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

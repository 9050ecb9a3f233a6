"""Decides on what a study trains that leaves it open: on the GPUs that are there, or on CPU cores.

Without a GPU it is the cores. With one it is what a few timed steps say: those of the kinds of models that most of the
work is for, on a core and on a GPU, each with as many members in lock-step as there would be.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aesweep.cluster.room import Node, num_trainers
from aesweep.process.errors import AesweepError
from aesweep.process.wording import plural
from aesweep.run.preflight.environment import usable_gpus
from aesweep.run.preflight.pack_plan import uses_gpus
from aesweep.run.preflight.step_timer import StepTimer
from aesweep.run.preflight.work import Sizes, Work, model_bytes, study_work
from aesweep.study.configuration import SHARED
from aesweep.study.resources import Resources
from aesweep.study.schema import Study

MOST_TIMED = 3  # kinds of models; each takes up to a second or two on a GPU, whose kernels are built and captured


@dataclasses.dataclass(frozen=True)
class DeviceChoice:
    """On what a study trains.

    Attributes:
        resources: the study's resources, with a number of trainers.
        num_gpus: number of GPUs that were there to choose.
        reason: a phrase for the user: what trains, and why.
    """

    resources: Resources
    num_gpus: float
    reason: str

    def recorded(self) -> dict[str, Any]:
        """Returns plain values for the journal."""
        return {**self.resources.model_dump(mode="json"), "gpus_seen": self.num_gpus, "reason": self.reason}


TimeSteps = Callable[[list[Work]], tuple[list[float], list[float]]]


def choose_devices(
    study: Study,
    sizes: Sizes,
    nodes: Sequence[Node],
    most_at_once: int | None,
    time_steps: TimeSteps,
    recorded: Mapping[str, Any] | None = None,
) -> DeviceChoice:
    """Decides on what a study trains.

    Args:
        study: the study, whose `resources.trainers` is "auto".
        sizes: data set name to (number of training images, shape of an image (C, H, W)).
        nodes: the machines that are up.
        most_at_once: number of trials that the user wants under training at once; None for as many as have room.
        time_steps: returns for each kind of work the seconds per image on a core, and those on a GPU, see
            `time_on_both`. An exception says that a GPU cannot be used.
        recorded: what an earlier session of the run has recorded of its choice. It stands as long as there are as many
            GPUs, so that the noise of measurements does not move a run from one kind of device to another.
    """
    resources = study.resources
    num_gpus = sum(node.num_gpus for node in nodes)
    num_cores = max(1, int(sum(node.num_cores for node in nodes)))
    num_cores = num_cores if most_at_once is None else min(num_cores, most_at_once)
    on_cores, cores = resources.model_copy(update={"trainers": 0}), plural(num_cores, "core")
    on_gpus = _on_gpus(resources, nodes, most_at_once)
    gpus = _gpus_text(on_gpus)

    def choice(is_on_gpus: bool, why: str) -> DeviceChoice:
        return DeviceChoice(on_gpus if is_on_gpus else on_cores, num_gpus, f"{gpus if is_on_gpus else cores}: {why}")

    if num_gpus == 0:
        return choice(False, "there is no GPU")
    if on_gpus.trainers == 0:
        return choice(False, f"no machine has a core and {_held(resources)} for a trainer")
    if recorded and recorded.get("gpus_seen") == num_gpus:
        return choice(bool(recorded.get("trainers")), "as before")
    work = main_work(study, sizes, on_gpus)
    try:
        per_image_on_core, per_image_on_gpu = time_steps(work)
    except Exception as error:  # whatever a driver and its libraries raise
        told = str(getattr(error, "cause", None) or error).strip().splitlines() or [type(error).__name__]
        return choice(False, f"of {plural(num_gpus, 'GPU')} none can be used: {told[0]}")
    # Trainers that share a GPU are no faster together than one that has it to itself.
    whole_gpus = on_gpus.trainers * min(1.0, resources.gpus_per_trainer)
    ratio = _seconds(work, per_image_on_core) / num_cores / (_seconds(work, per_image_on_gpu) / whole_gpus)
    if ratio >= 1:
        return choice(True, f"faster than {cores} by a factor of {ratio:.1f}, by timed steps")
    return choice(False, f"faster than {gpus} by a factor of {1 / ratio:.1f}, by timed steps")


def devices_here(study: Study, sizes: Sizes, num_workers: int, most_at_once: int | None) -> tuple[DeviceChoice, float]:
    """Returns on what a study would train on this machine alone, and how many GPUs of it would be at work.

    Args:
        study, sizes, most_at_once: see `choose_devices`. Where the study says itself what trains, that is returned.
        num_workers: number of cores that a run would use.
    """
    here = Node(num_workers, usable_gpus())
    choice = DeviceChoice(study.resources, here.num_gpus, "what the study says")
    if study.resources.is_auto:
        choice = choose_devices(study, sizes, [here], most_at_once, lambda work: time_on_both(work, study.precision))
    resources = choice.resources
    if not uses_gpus(resources):
        return choice, 0
    # Trials that hold a part of a GPU each come in such numbers that all GPUs are at work.
    held = resources.trainers * resources.gpus_per_trainer if resources.trainers else here.num_gpus
    return choice, min(held, here.num_gpus)


def time_on_both(work: Sequence[Work], precision: str) -> tuple[list[float], list[float]]:
    """Returns the seconds per image of each kind of work on a core, and on the GPU of this process.

    Raises:
        AesweepError: PyTorch can use no GPU here.
    """
    import torch

    if not torch.cuda.is_available():
        raise AesweepError(f"PyTorch {torch.__version__} sees none: `aesweep doctor` there says why")
    timers = StepTimer(precision), StepTimer(precision, "cuda")
    on_core, on_gpu = (
        [timer.seconds_per_image(one.configuration, one.image_shape, one.num_members) for one in work]
        for timer in timers
    )
    return on_core, on_gpu


def main_work(study: Study, sizes: Sizes, resources: Resources) -> list[Work]:
    """Returns the work for the `MOST_TIMED` kinds of models that most of a study's work is for, the most first.

    Work is compared by images x parameters, and so are configurations whose winner is not known yet.

    Args:
        study: the study.
        sizes: data set name to (number of training images, shape of an image (C, H, W)).
        resources: resources with trainers, which say how many members train at once.
    """
    kinds: dict[tuple, Work] = {}
    for _, stage in study_work(study, sizes, resources, model_bytes):
        for one in stage.search + stage.retraining:
            key = (*(getattr(one.configuration, name) for name in SHARED), one.image_shape, one.num_members)
            known = kinds.get(key, dataclasses.replace(one, num_images=0))
            kinds[key] = dataclasses.replace(known, num_images=known.num_images + one.num_images)
    return sorted(kinds.values(), key=lambda one: -one.num_images * model_bytes(one.configuration, one.image_shape))[
        :MOST_TIMED
    ]


def _on_gpus(resources: Resources, nodes: Sequence[Node], most_at_once: int | None) -> Resources:
    """Returns the resources with as many trainers as the machines have room for, and as the user wants."""
    trainers = num_trainers(resources, nodes)
    at_once = resources.trials_per_trainer
    if most_at_once is not None and trainers:
        trainers = min(trainers, most_at_once)
        at_once = min(at_once, math.ceil(most_at_once / trainers))
    return resources.model_copy(update={"trainers": trainers, "trials_per_trainer": at_once})


def _seconds(work: Sequence[Work], per_image: Sequence[float]) -> float:
    return sum(one.num_images * seconds for one, seconds in zip(work, per_image, strict=True))


def _gpus_text(resources: Resources) -> str:
    each = " each" if resources.trainers > 1 else ""
    trials = plural(resources.trials_per_trainer, "trial")
    return f"{plural(resources.trainers, 'trainer')} with {_held(resources)} and {trials} at once{each}"


def _held(resources: Resources) -> str:
    each = resources.gpus_per_trainer
    return "a GPU" if each == 1 else plural(each, "GPU") if each > 1 else f"{each:g} of a GPU"

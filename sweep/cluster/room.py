"""What the machines of a cluster have for training, and whether resources have room on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from aesweep.process.errors import AesweepError
from aesweep.process.wording import plural
from aesweep.study.resources import Resources


@dataclasses.dataclass(frozen=True)
class Node:
    """A machine, with the cores and GPUs that Ray may give away there."""

    num_cores: float
    num_gpus: float


def num_trainers(resources: Resources, nodes: Sequence[Node]) -> int:
    """Returns how many trainers with GPUs have room, each with a core beside them."""
    each = resources.gpus_per_trainer
    return sum(min(int(node.num_cores), _fitting(node.num_gpus, each)) for node in nodes)


def num_places(resources: Resources, nodes: Sequence[Node]) -> int:
    """Returns how many trials have room at once, each in a process of its own; one at least."""
    places = [sum(node.num_cores for node in nodes)]
    if resources.gpus_per_trial:
        places.append(sum(node.num_gpus for node in nodes) / resources.gpus_per_trial)
    return max(1, int(min(places)))


def check_room(resources: Resources, nodes: Sequence[Node], may_grow: bool) -> None:
    """Checks that resources can be provided, for which Ray would wait without end.

    Args:
        resources: what each trial, or each trainer, holds; with a number of trainers.
        nodes: the machines that are up.
        may_grow: whether others may join, so that what all trainers hold together need not be there yet.

    Raises:
        AesweepError: they cannot be provided.
    """
    name = "gpus_per_trainer" if resources.trainers else "gpus_per_trial"
    asked = getattr(resources, name)
    if asked > (most := max((node.num_gpus for node in nodes), default=0)):
        raise AesweepError(
            f"resources.{name}: {asked:g} asked for, but no node has more than {most:g}; set it to 0 to train on CPUs"
        )
    cores, gpus = sum(node.num_cores for node in nodes), sum(node.num_gpus for node in nodes)
    for kind, here, each in () if may_grow else (("CPU", cores, 1), ("GPU", gpus, resources.gpus_per_trainer)):
        if resources.trainers * each > here:
            raise AesweepError(
                f"resources.trainers: {resources.trainers} hold {plural(resources.trainers * each, kind)}, but there "
                f"are {here:g} here; ask for fewer" + (", or for more --workers" if kind == "CPU" else "")
            )


def _fitting(num_gpus: float, each: float) -> int:
    """Returns how many trainers fit on the GPUs of a machine; Ray gives a trainer no parts of two GPUs."""
    if each >= 1:
        return int(num_gpus / each + 1e-9)
    whole = int(num_gpus)
    return whole * int(1 / each + 1e-9) + int((num_gpus - whole) / each + 1e-9)

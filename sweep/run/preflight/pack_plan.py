"""Computes for `plan` which trials of a stage share packs, and how much memory these need, by counting."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from typing import Any

from aesweep.search.trial_spec import TrialSpec, pack_key
from aesweep.study.resources import Resources


@dataclasses.dataclass(frozen=True)
class PackPlan:
    """The trials of a stage that can share a pack, and the largest pack that they form.

    Attributes:
        dataset: name of the data set that they train on.
        model: the members' shape, see `aesweep.models.family.Architecture`.
        widths: of dense members, the layer widths from the image to the code; None for others.
        batch_size: images per step.
        num_trials: number of these trials in the stage.
        trials_at_once: largest number of them that share a pack at a time.
        members_at_once: number of members of that pack.
        members_per_step: number of its members that train in lock-step if the device has the memory; fewer if not.
        memory_bytes: what that pack needs of its device's memory, its images included.
    """

    dataset: str
    model: str
    widths: tuple[int, ...] | None
    batch_size: int
    num_trials: int
    trials_at_once: int
    members_at_once: int
    members_per_step: int
    memory_bytes: int


@dataclasses.dataclass(frozen=True)
class Packed:
    """How the trials of a stage that can share a pack would train together, see `PackPlan`."""

    num_trials: int
    trials_at_once: int
    members_at_once: int


def packed_members(specs: list[TrialSpec], resources: Resources) -> dict[tuple[Any, ...], Packed]:
    """Groups the trials of a stage as a search of it would pack them.

    Args:
        specs: the stage's trials.
        resources: the study's resources, with a number of trainers.

    Returns:
        The `pack_key` of each group to its numbers.
    """
    share = -(-len(specs) // resources.trainers) if resources.trainers else 1
    num_seeds = {pack_key(spec): len(spec.seeds) for spec in specs}
    found = {}
    for key, num_trials in Counter(map(pack_key, specs)).items():
        at_once = min(num_trials, share, resources.trials_per_trainer) if resources.trainers else 1
        found[key] = Packed(num_trials, at_once, at_once * num_seeds[key])
    return found


def plan_packs(
    specs: list[TrialSpec], resources: Resources, sizes: dict[str, tuple[int, tuple[int, ...]]]
) -> list[PackPlan]:
    """Plans the packs of a stage.

    Args:
        specs: the stage's trials.
        resources: the study's resources, with a number of trainers.
        sizes: data set name to (number of training images, validation images included; shape of an image,
            (C, H, W)).

    Returns:
        One plan for each group of trials that can share a pack.
    """
    from aesweep.training.engine.member import architecture_of
    from aesweep.training.evaluation import pairs_at_once
    from aesweep.training.memory import pack_memory
    from aesweep.training.trial_images import count_images

    on_gpu = uses_gpus(resources)
    plans = []
    for key, packed in packed_members(specs, resources).items():
        spec = next(spec for spec in specs if pack_key(spec) == key)
        num_training, image_shape = sizes[spec.dataset]
        num_trained, num_judging = count_images(spec, num_training)
        members = packed.members_at_once
        per_step = members if on_gpu else 1
        architecture = architecture_of(spec.configuration, image_shape)
        at_once = pairs_at_once("cuda" if on_gpu else "cpu")
        memory = pack_memory(
            architecture,
            num_trained,
            spec.configuration.batch_size,
            num_judging,
            at_once,
            # Of a GPU; a CPU's memory is not planned with so closely that it would matter whether it has them.
            bfloat16_products=on_gpu and spec.precision == "bf16",
        )
        plans.append(
            PackPlan(
                spec.dataset,
                str(architecture),
                _widths(spec, image_shape),
                spec.configuration.batch_size,
                packed.num_trials,
                packed.trials_at_once,
                members,
                per_step,
                memory.needed(members, per_step),
            )
        )
    return plans


def uses_gpus(resources: Resources) -> bool:
    """Returns whether trials train on GPUs."""
    return (resources.gpus_per_trainer if resources.trainers else resources.gpus_per_trial) > 0


def _widths(spec: TrialSpec, image_shape: tuple[int, ...]) -> tuple[int, ...] | None:
    if spec.configuration.family != "dense":
        return None
    return (math.prod(image_shape), *spec.configuration.hidden_layers, spec.configuration.latent_dim)

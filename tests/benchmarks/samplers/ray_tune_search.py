"""Ray Tune's ASHA over random points: its own scheduler, driven without a cluster."""

from __future__ import annotations

import types
from collections.abc import Hashable, Sequence

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler
from samplers.replay import Values
from samplers.search_axes import ListedAxis, SearchAxis


class RayTuneAsha:
    """`AsyncHyperBandScheduler` over points that are drawn uniformly.

    Args:
        axes: the axes to draw.
        epochs: epochs of a whole trial.
        seed: of the points.
        reduction_factor: of the scheduler.
        grace_period: of the scheduler.
    """

    def __init__(
        self, axes: Sequence[SearchAxis], epochs: int, seed: int, reduction_factor: float = 3, grace_period: int = 1
    ):
        self._axes = axes
        self._random = np.random.default_rng(seed)
        self._trials: list[types.SimpleNamespace] = []
        self._scheduler = AsyncHyperBandScheduler(
            metric="validation_mse",
            mode="min",
            max_t=epochs,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
        )

    def ask(self) -> tuple[Hashable, Values] | None:
        trial = types.SimpleNamespace(trial_id=str(len(self._trials)))
        self._trials.append(trial)
        self._scheduler.on_trial_add(None, trial)
        return len(self._trials) - 1, {axis.name: drawn(axis, self._random) for axis in self._axes}

    def tell(self, trial: Hashable, epoch: int, value: float) -> bool:
        result = {"training_iteration": epoch, "validation_mse": value}
        return self._scheduler.on_trial_result(None, self._trials[trial], result) == AsyncHyperBandScheduler.CONTINUE

    def fail(self, trial: Hashable, epoch: int) -> None:
        self._scheduler.on_trial_error(None, self._trials[trial])


def drawn(axis: SearchAxis, random: np.random.Generator) -> object:
    """Returns a value of an axis, drawn uniformly (uniformly in the logarithm where the axis is logarithmic)."""
    if isinstance(axis, ListedAxis):
        return axis.values[random.integers(len(axis.values))]
    if axis.log:
        return float(np.exp(random.uniform(np.log(axis.low), np.log(axis.high))))
    return float(random.uniform(axis.low, axis.high))

"""Syne Tune's ASHA and its BOHB (asynchronous successive halving with a kernel density model), by their own API."""

from __future__ import annotations

import datetime
import logging
import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from samplers.replay import Values
from samplers.search_axes import ListedAxis, SearchAxis

WHEN = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


class SyneTuneAsha:
    """Syne Tune's `ASHA`, or its `BOHB`.

    Args:
        axes: the axes to draw.
        epochs: epochs of a whole trial.
        seed: of the scheduler. Syne Tune draws from numpy's global generator besides, which is seeded as well.
        name: "ASHA" or "BOHB".
    """

    def __init__(self, axes: Sequence[SearchAxis], epochs: int, seed: int, name: str):
        from syne_tune.optimizer import baselines

        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        np.random.seed(seed)
        self._axes = axes
        self._trials: list[Any] = []
        self._scheduler = getattr(baselines, name)(
            {axis.name: domain(axis) for axis in axes},
            metric="validation_mse",
            time_attr="epoch",
            max_t=epochs,
            grace_period=1,
            reduction_factor=3,
            random_seed=seed,
        )

    def ask(self) -> tuple[Hashable, Values] | None:
        from syne_tune.backend.trial_status import Trial

        suggestion = self._scheduler.suggest()
        if suggestion is None:
            return None
        trial = Trial(len(self._trials), suggestion.config, WHEN)
        self._trials.append(trial)
        self._scheduler.on_trial_add(trial)
        return trial.trial_id, {axis.name: value_of(axis, trial.config[axis.name]) for axis in self._axes}

    def tell(self, trial: Hashable, epoch: int, value: float) -> bool:
        from syne_tune.optimizer.scheduler import SchedulerDecision

        found = self._trials[trial]
        decision = self._scheduler.on_trial_result(found, {"epoch": epoch, "validation_mse": value})
        if decision == SchedulerDecision.STOP:
            self._scheduler.on_trial_remove(found)
        return decision == SchedulerDecision.CONTINUE

    def fail(self, trial: Hashable, epoch: int) -> None:
        self._scheduler.on_trial_error(self._trials[trial])


def domain(axis: SearchAxis) -> Any:
    """Returns Syne Tune's domain of an axis.

    Its density model takes no notice of a logarithmic domain, so that the logarithm itself is what it chooses.
    """
    from syne_tune import config_space

    if isinstance(axis, ListedAxis):
        return config_space.choice(list(range(len(axis.values))))
    low, high = (math.log(end) if axis.log else end for end in (axis.low, axis.high))
    return config_space.uniform(low, high)


def value_of(axis: SearchAxis, chosen: Any) -> Any:
    """Returns the value of an axis for what was chosen from its domain."""
    if isinstance(axis, ListedAxis):
        return axis.values[chosen]
    return math.exp(chosen) if axis.log else chosen

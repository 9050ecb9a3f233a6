"""The slots of a stage: places for one configuration each, whose grids are given and whose drawn axes a sampler fills.

Grids are crossed with each other, once for each sample. A grid that depends on another axis has its values crossed as
well; in a slot in which it does not apply its value is ignored, so that several slots come to one configuration.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aesweep.study.configuration import DERIVED, REGULARIZERS, STRENGTHS, Configuration
from aesweep.study.search_space import Axis, SearchSpace

Choose = Callable[[str, Axis], Any]


@dataclasses.dataclass(frozen=True)
class Slot:
    """A place for one configuration of a stage on one data set.

    Attributes:
        dataset: the data set's name.
        number: its place among the slots of its stage and data set, from 0. More samples add slots behind the others.
        sample: number of the sample that it is part of, from 0.
        grids: axis name to value, of every grid that may apply.
    """

    dataset: str
    number: int
    sample: int
    grids: Mapping[str, Any]


class Template:
    """What the configurations of a stage have in common, and how a slot becomes one of them.

    Args:
        space: the stage's axes.
        base: the configuration from which unset fields are taken; None for the defaults of `Configuration`, in which
            case the space must set the hidden layers and the latent dimension.
    """

    def __init__(self, space: SearchSpace, base: Configuration | None):
        self._axes = axes = space.axes()
        start = base.as_dict() if base else {}
        if "regularizer" in axes:
            start.update(dict.fromkeys(STRENGTHS, 0.0))
        if "family" in axes or not base:
            # A family's own fields, and the layers, are given with the family; what is not given has its default.
            start = {name: value for name, value in start.items() if name not in DERIVED["model"]}
            start["hidden_layers"] = []
        if "code" in axes:
            start.pop("beta", None)
        self._start = start

    def complete(self, slot: Slot, choose: Choose) -> Configuration:
        """Returns the configuration of a slot.

        Args:
            slot: the slot.
            choose: gives the value of each drawn axis that applies, by the axis's name; conditions depend on axes that
                were chosen before.
        """
        values: dict[str, Any] = {}
        for name, axis in self._axes.items():
            if not axis.applies(values):
                continue
            if axis.is_random:
                values[name] = choose(name, axis)
            else:
                values[name] = slot.grids[name] if axis.grid else axis.value
        return Configuration.from_dict(_labelled({**self._start, **values}, self._axes))


def slots(space: SearchSpace, num_samples: int, dataset: str) -> Iterator[Slot]:
    """Yields the slots of a stage on one data set: sample by sample, each with all points of the crossed grids.

    Args:
        space: the stage's axes.
        num_samples: number of samples.
        dataset: the data set's name.
    """
    axes = space.axes()
    grids = {name: axis.grid for name, axis in axes.items() if axis.grid and not axis.when}
    depending = {name: axis for name, axis in axes.items() if axis.grid and axis.when}
    number = itertools.count()
    for sample in range(num_samples):
        for point in itertools.product(*grids.values()):
            fixed = dict(zip(grids, point, strict=True))
            # A drawn axis may have any value here; an axis that depends on it may apply or not.
            given = {**{name: axis.value for name, axis in axes.items() if axis.value is not None}, **fixed}
            mine = {name: axis.grid for name, axis in depending.items() if _may_apply(axis, given)}
            for values in itertools.product(*mine.values()):
                yield Slot(dataset, next(number), sample, {**fixed, **dict(zip(mine, values, strict=True))})


def _may_apply(axis: Axis, given: Mapping[str, Any]) -> bool:
    """Returns whether an axis applies under some values of the axes that are not given."""
    known = {name: wanted for name, wanted in axis.when.items() if name in given}
    return axis.model_copy(update={"when": known}).applies(dict(given))


def _labelled(values: dict[str, Any], axes: dict[str, Axis]) -> dict[str, Any]:
    """Names the regularizer after the strengths where the space sets strengths alone."""
    if "regularizer" in axes or not any(strength in axes for strength in STRENGTHS):
        return values
    used = tuple(strength for strength in STRENGTHS if values.get(strength))
    label = next((name for name, needs in REGULARIZERS.items() if needs == used), "+".join(used))
    return {**values, "regularizer": label}

"""The slots of a stage: places for one configuration each, whose grids are given and whose drawn axes a sampler fills.

Grids are crossed with each other, once for each sample. A grid that depends on another axis has its values crossed as
well; in a slot in which it does not apply its value is ignored, so that several slots come to one configuration.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aesweep.study.axis import Axis
from aesweep.study.configuration import DERIVED, OPTION, REGULARIZERS, STRENGTHS, Configuration
from aesweep.study.search_space import SearchSpace

Choose = Callable[[str, Axis], Any]
BASE = Configuration(hidden_layers=(), latent_dim=1)  # stands for a base where configurations are only counted


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

    @property
    def place(self) -> tuple[str, int]:
        """What tells it from the other slots of its stage."""
        return self.dataset, self.number


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
        return Configuration.from_dict(_labelled(_gathered({**self._start, **values}), self._axes))

    def every(self, slot: Slot, choose_within: Choose) -> Iterator[Configuration]:
        """Yields a configuration of a slot for each combination of its choices, in their order.

        Args:
            slot: the slot.
            choose_within: gives the value of each axis that applies and is drawn from an interval; see `complete`.
        """
        path: list[int] = []  # the place of each choice among its values, in the order in which they are made
        while True:
            sizes: list[int] = []

            def choose(name: str, axis: Axis, sizes: list[int] = sizes) -> Any:
                if not axis.choice:
                    return choose_within(name, axis)
                if len(sizes) == len(path):
                    path.append(0)
                sizes.append(len(axis.choice))
                return axis.choice[path[len(sizes) - 1]]

            yield self.complete(slot, choose)
            while path and path[-1] == sizes[len(path) - 1] - 1:
                path.pop()
            if not path:
                return
            path[-1] += 1

    def num_configurations(self, slot: Slot, most: int) -> int:
        """Returns how many configurations a slot may become, or `most` where there are more."""

        def refuse(name: str, axis: Axis) -> Any:
            raise ContinuousAxis(name)

        found = set()
        try:
            for configuration in self.every(slot, refuse):
                found.add(configuration)
                if len(found) == most:
                    break
        except ContinuousAxis:
            return most
        return len(found)


class ContinuousAxis(Exception):
    """Tells that an axis has more values than can be listed."""


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


def open_slots(space: SearchSpace, num_samples: int, dataset: str) -> Iterator[Slot]:
    """Yields those slots for which there can be a configuration that no slot before them has.

    A point of the grids without drawn axes has one slot; one with choices alone has no more slots than configurations.
    """
    template = Template(space, BASE)
    known: dict[str, int] = {}
    for slot in slots(space, num_samples, dataset):
        point = repr(slot.grids)
        if point not in known:
            known[point] = template.num_configurations(slot, num_samples)
        if slot.sample < known[point]:
            yield slot


def _may_apply(axis: Axis, given: Mapping[str, Any]) -> bool:
    """Returns whether an axis applies under some values of the axes that are not given."""
    known = {name: wanted for name, wanted in axis.when.items() if name in given}
    return axis.model_copy(update={"when": known}).applies(dict(given))


def _gathered(values: dict[str, Any]) -> dict[str, Any]:
    """Puts the values of a package's settings, which were chosen one by one, into the field `options`."""
    options = {name.removeprefix(OPTION): value for name, value in values.items() if name.startswith(OPTION)}
    others = {name: value for name, value in values.items() if not name.startswith(OPTION)}
    return {**others, "options": options} if options else others


def _labelled(values: dict[str, Any], axes: dict[str, Axis]) -> dict[str, Any]:
    """Names the regularizer after the strengths where the space sets strengths alone."""
    if "regularizer" in axes or not any(strength in axes for strength in STRENGTHS):
        return values
    used = tuple(strength for strength in STRENGTHS if values.get(strength))
    label = next((name for name, needs in REGULARIZERS.items() if needs == used), "+".join(used))
    return {**values, "regularizer": label}

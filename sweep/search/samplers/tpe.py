"""Chooses configurations by what earlier trials measured: Optuna's multivariate tree-structured Parzen estimator.

Sources: Bergstra et al., Algorithms for Hyper-Parameter Optimization (NeurIPS 2011), and Falkner et al., BOHB (ICML
2018), for the joint density over all axes. What a trial measured enters as its standing among its rivals, so that cells
are learned from together however hard each is. A table's cell is given, and Optuna chooses the drawn axes alone.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aesweep.search.samplers.parameters import distribution_of, parameter_of
from aesweep.search.samplers.quasi_random import Positions
from aesweep.search.samplers.slot import Slot, Template
from aesweep.search.samplers.standing import standings
from aesweep.storage.event import cell_key
from aesweep.storage.run_state import TrialState
from aesweep.study.axis import Axis
from aesweep.study.configuration import Configuration
from aesweep.study.schema import Stage

if TYPE_CHECKING:  # a run that does not use it does without the second that its import takes
    from optuna.trial import FrozenTrial, Trial

NUM_ATTEMPTS = 8  # at a configuration that is not there already
OWN_CELL_FIRST = 1e-6  # decides between equal standings


class Tpe:
    """The sampler `tpe`, see `aesweep.search.samplers.sampler.Sampler`.

    The first suggestions spread evenly, as `quasi_random` does, until there are `2 * (number of drawn axes + 1)` trials
    to learn from, or 10.
    """

    learns = True

    def __init__(self, stage: Stage, base: Configuration | None, seed: str):
        self._stage = stage
        self._seed = seed
        self._template = Template(stage.space, base)
        self._axes = stage.space.axes()
        self._drawn = {name: axis for name, axis in self._axes.items() if axis.is_random}
        self._positions = Positions(seed, self._axes)
        self._num_first = min(10, 2 * (len(self._drawn) + 1))

    def suggest(self, slot: Slot, known: Sequence[TrialState]) -> Configuration | None:
        there = {
            Configuration.from_dict(trial.created.configuration)
            for trial in known
            if trial.created.dataset == slot.dataset
        }
        for configuration in self._candidates(slot, known):
            if configuration not in there:
                return configuration
        return None

    def _candidates(self, slot: Slot, known: Sequence[TrialState]) -> Iterator[Configuration]:
        """Yields configurations in the order in which they are wanted; the last are one for each crossing of choices.

        Those differ from all that were tried wherever one is left that was not: an interval under a choice has a new
        point for each slot.
        """
        number = slot.number if self._stage.sampler.shared else slot.sample

        def evenly(name: str, axis: Axis) -> Any:
            return axis.at(self._positions.at(name, number))

        first = self._template.complete(slot, evenly)
        if not self._values(first):
            yield first
            return
        cell = tuple((axis, first.value_of(axis)) for axis in self._stage.table.axes())
        learned = self._learned((slot.dataset, cell), known)
        if sum(trial.value is not None for trial in learned) < self._num_first:
            yield first
        else:
            yield from (self._sample(slot, learned, attempt) for attempt in range(NUM_ATTEMPTS))
        yield from self._template.every(slot, evenly)

    def _learned(self, cell: tuple[str, Any], known: Sequence[TrialState]) -> list[FrozenTrial]:
        """Returns the trials to learn from as Optuna takes them: one without a standing yet as one that is running.

        Optuna avoids what is running, and gives later trials more weight.

        Args:
            cell: the data set and the cell of the suggestion.
            known: the stage's trials.
        """
        from aesweep.search.samplers.known_trial import KnownTrial

        distributions = {name: distribution_of(axis) for name, axis in self._drawn.items()}
        mine = {trial.created.trial for trial in known if _cell(trial) == cell}
        learned = (
            sorted(known, key=lambda trial: trial.created.trial in mine)
            if self._stage.sampler.shared
            else [trial for trial in known if trial.created.trial in mine]
        )
        found = []
        standing = standings(known, self._stage)
        for trial in learned:
            values = self._values(Configuration.from_dict(trial.created.configuration))
            rank = standing.get(trial.created.trial)
            if not values or (rank is None and trial.status is not None):
                continue  # nothing was drawn there, or it ended without a standing
            if rank is not None:
                rank -= OWN_CELL_FIRST * (trial.created.trial in mine)
            found.append(KnownTrial(values, {name: distributions[name] for name in values}, rank))
        return found

    def _values(self, configuration: Configuration) -> dict[str, Any]:
        """Returns the drawn axes that apply to a configuration, as Optuna takes them: a choice by its place."""
        fields = {name: configuration.written_value(name) for name in self._axes}
        values = {}
        for name, axis in self._drawn.items():
            if axis.applies(fields):
                values[name] = parameter_of(fields[name], axis)
        return values

    def _sample(self, slot: Slot, learned: list[FrozenTrial], attempt: int) -> Configuration:
        import optuna

        depends = any(axis.when for axis in self._drawn.values())
        digest = hashlib.sha256(f"{self._seed}/{slot.dataset}/{slot.number}/{attempt}".encode()).digest()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of `group`, for conditions
            sampler = optuna.samplers.TPESampler(
                multivariate=True, group=depends, n_startup_trials=0, seed=int.from_bytes(digest[:4])
            )
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=sampler)
        study.add_trials(learned)
        trial = study.ask()
        return self._template.complete(slot, lambda name, axis: _suggested(trial, name, axis))


def _cell(trial: TrialState) -> tuple[str, Any]:
    return trial.created.dataset, cell_key(trial.created.cell)


def _suggested(trial: Trial, name: str, axis: Axis) -> Any:
    if axis.choice:
        return axis.choice[trial.suggest_categorical(name, range(len(axis.choice)))]
    low, high = axis.uniform or axis.log_uniform
    return trial.suggest_float(name, low, high, log=axis.log_uniform is not None)

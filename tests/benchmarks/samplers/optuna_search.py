"""Optuna's TPE with its pruners, by `ask`, `report`, `should_prune` and `tell` in the order of the simulated clock."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, SuccessiveHalvingPruner
from samplers.replay import Values
from samplers.search_axes import ListedAxis, SearchAxis

optuna.logging.set_verbosity(optuna.logging.ERROR)


def successive_halving(epochs: int) -> BasePruner:
    """Returns Optuna's asynchronous successive halving, with the rungs that all others have."""
    return SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)


def hyperband(epochs: int) -> BasePruner:
    """Returns Optuna's Hyperband over the same rungs; its brackets follow from the epochs of a whole trial."""
    return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)


class OptunaTpe:
    """Optuna's TPE as it comes, with a pruner.

    Args:
        axes: the axes to draw.
        epochs: epochs of a whole trial.
        seed: of the sampler; the study's name follows from it, since the Hyperband pruner draws brackets by the name.
        pruner: the pruner.
    """

    def __init__(self, axes: Sequence[SearchAxis], epochs: int, seed: int, pruner: BasePruner):
        self._axes, self._epochs = axes, epochs
        # `constant_liar`, which keeps several workers from the same point, is Optuna's default since version 5.
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._study = optuna.create_study(
            direction="minimize", sampler=sampler, pruner=pruner, study_name=f"replay {seed}"
        )
        self._trials: dict[Hashable, optuna.Trial] = {}

    def ask(self) -> tuple[Hashable, Values] | None:
        trial = self._study.ask()
        self._trials[trial.number] = trial
        return trial.number, {axis.name: suggested(axis, trial) for axis in self._axes}

    def tell(self, trial: Hashable, epoch: int, value: float) -> bool:
        asked = self._trials[trial]
        asked.report(value, epoch)
        if epoch == self._epochs:
            self._study.tell(asked, value)
            return False
        if asked.should_prune():
            self._study.tell(asked, state=optuna.trial.TrialState.PRUNED)
            return False
        return True

    def fail(self, trial: Hashable, epoch: int) -> None:
        self._study.tell(self._trials[trial], state=optuna.trial.TrialState.FAIL)


def suggested(axis: SearchAxis, trial: optuna.Trial) -> object:
    """Returns Optuna's value of an axis: listed values by their place, since it takes no lists as values."""
    if isinstance(axis, ListedAxis):
        return axis.values[trial.suggest_categorical(axis.name, range(len(axis.values)))]
    return trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log)

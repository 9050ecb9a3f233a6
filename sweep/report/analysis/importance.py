"""How much each axis of a stage's search space decided whether a trial was among the best: conditional PED-ANOVA.

The importance of an axis is the divergence between the distribution of its values among the best quarter of the trials
and among all of them, as computed by Optuna's `PedAnovaImportanceEvaluator` (Watanabe, Bansal and Hutter, PED-ANOVA,
IJCAI 2023). Trials are compared after the same number of epochs only: at each rung, those that reached it. At the first
rung that is nearly all of them; at later ones it is what ASHA let through, in which an axis that decided early may have
little left to decide.

A table's own axes, such as the latent dimension, usually decide most, although a table compares their values and does
not choose among them. So the other axes are also judged within cells: by how much better a trial is than the mean of
its cell.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from aesweep.report.rows.types import Stage, Trial
from aesweep.search.samplers.parameters import distribution_of, parameter_of
from aesweep.study.axis import Axis
from aesweep.study.search_space import SearchSpace

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

# Of the trials, this share counts as the best; of 20 trials, those are five, the least that Optuna advises.
BEST_SHARE = 0.25
MIN_TRIALS = 20
NUM_RESAMPLES = 100
LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Importance:
    """What one axis decided at one rung.

    Attributes:
        axis: the axis.
        share: its share in the importances of all axes, from 0 to 1.
        low, high: the middle 95 % of that share over random halves of the trials, which vary about as much as whole
            samples of that size do (Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982).
        is_chance: whether the axis is no more important than in 5 % of the cases where values are dealt to the trials
            at random.
    """

    axis: str
    share: float
    low: float
    high: float
    is_chance: bool


@dataclasses.dataclass(frozen=True)
class RungImportance:
    """The importances among the trials that reached a rung.

    Attributes:
        epoch: number of epochs after which they are compared.
        num_trials: how many reached it with a finite value.
        axes: an importance for each axis that varies among them, the most important first; empty if there are fewer
            than `MIN_TRIALS` trials, which are too few to say.
    """

    epoch: int
    num_trials: int
    axes: tuple[Importance, ...]


def importances(stage: Stage, dataset: str, space: SearchSpace, within_cells: bool = False) -> list[RungImportance]:
    """Returns the importances at each of ASHA's rungs and at the last epoch, in order.

    Args:
        stage: the stage.
        dataset: the data set whose trials are compared.
        space: the stage's search space.
        within_cells: whether trials are compared with the mean of their cell, of the logarithm of an error or of a PSNR
            itself. Only trials with others in their cell count then, and only axes that vary within a cell; where it
            is one axis, or one cell, nothing is computed, since there is nothing to share or nothing else to say.
    """
    return [_at_rung(stage, dataset, space, epoch, within_cells) for epoch in sorted({*stage.rungs, stage.epochs})]


def varying_axes(trials: list[Trial], space: SearchSpace) -> dict[str, Axis]:
    """Returns the axes of a space that have more than one value among some trials."""
    return {
        name: axis
        for name, axis in space.axes().items()
        if len({repr(_value(trial, name, axis)) for trial in trials} - {"None"}) > 1
    }


def _at_rung(stage: Stage, dataset: str, space: SearchSpace, epoch: int, within_cells: bool) -> RungImportance:
    sign = 1.0 if stage.mode == "min" else -1.0
    reached = []
    for trial in stage.trials:
        row = next((row for row in trial.epochs if row.epoch == epoch), None)
        value = getattr(row, stage.metric) if row is not None and trial.dataset == dataset else None
        if value is not None and math.isfinite(value):
            reached.append((trial, sign * value))
    axes = varying_axes([trial for trial, _ in reached], space)
    if within_cells:
        cells = _cells(reached)
        axes = {
            name: axis for cell in cells for name, axis in varying_axes([trial for trial, _ in cell], space).items()
        }
        reached = [pair for cell in cells for pair in _centred(cell, is_error=stage.mode == "min")]
        axes = axes if len(axes) > 1 and len(cells) > 1 else {}
    if len(reached) < MIN_TRIALS or not axes:
        return RungImportance(epoch, len(reached), ())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls the evaluator experimental
        return RungImportance(epoch, len(reached), _decided(reached, axes))


def _cells(reached: list[tuple[Trial, float]]) -> list[list[tuple[Trial, float]]]:
    """Returns the trials of each cell with their values, of cells with more than one of them."""
    cells: dict[tuple, list[tuple[Trial, float]]] = {}
    for trial, value in reached:
        cells.setdefault(trial.cell, []).append((trial, value))
    return [cell for cell in cells.values() if len(cell) > 1]


def _centred(cell: list[tuple[Trial, float]], is_error: bool) -> list[tuple[Trial, float]]:
    """Returns a cell's trials with how far each lies above their mean; errors are compared by their ratios."""
    values = np.array([value for _, value in cell])
    values = np.log(np.maximum(values, np.finfo(float).tiny)) if is_error else values
    return [(trial, float(value)) for (trial, _), value in zip(cell, values - values.mean(), strict=True)]


def _decided(reached: list[tuple[Trial, float]], axes: dict[str, Axis]) -> tuple[Importance, ...]:
    study = _study([trial for trial, _ in reached], axes)
    values = np.array([value for _, value in reached])
    generator = np.random.default_rng(0)
    found = _evaluate(study, values)
    halves, dealt = [], []
    for _ in range(NUM_RESAMPLES):
        left_out = generator.permutation(len(values))[: len(values) // 2]
        half = values.copy()
        half[left_out] = np.inf  # Optuna compares finite values alone
        halves.append(_shares(_evaluate(study, half)))
        dealt.append(_evaluate(study, generator.permutation(values)))
    shares = _shares(found)
    tail = (1 - LEVEL) / 2
    importances = []
    for name in axes:
        low, high = np.quantile([other.get(name, 0.0) for other in halves], [tail, 1 - tail])
        limit = np.quantile([other.get(name, 0.0) for other in dealt], LEVEL)
        share = shares.get(name, 0.0)
        importances.append(Importance(name, share, float(low), float(high), bool(found.get(name, 0.0) <= limit)))
    return tuple(sorted(importances, key=lambda importance: -importance.share))


def _study(trials: list[Trial], axes: dict[str, Axis]) -> optuna.Study:
    """Returns a study of the trials' configurations; their values are given at each evaluation."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    for trial in trials:
        parameters, distributions = _point(trial, axes)
        study.add_trial(optuna.trial.create_trial(params=parameters, distributions=distributions, value=0.0))
    return study


def _evaluate(study: optuna.Study, values: np.ndarray) -> dict[str, float]:
    """Returns the importance of each axis, not normalized, where the trials have these values; less is better."""
    from optuna.importance import PedAnovaImportanceEvaluator

    evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
    return evaluator.evaluate(study, target=lambda trial: float(values[trial.number]))


def _shares(found: dict[str, float]) -> dict[str, float]:
    total = sum(found.values())
    return {name: value / total for name, value in found.items()} if total > 0 else {}


def _point(trial: Trial, axes: dict[str, Axis]) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Returns a trial's values and their distributions, of the axes that apply to it; listed values by their place."""
    values = {name: _value(trial, name, axis) for name, axis in axes.items()}
    known = {name: value for name, value in values.items() if value is not None}
    parameters = {name: parameter_of(value, axes[name]) for name, value in known.items()}
    return parameters, {name: distribution_of(axes[name]) for name in known}


def _value(trial: Trial, name: str, axis: Axis) -> Any:
    """Returns a trial's value of an axis as the study writes it; None if the axis does not apply to it."""
    configuration = trial.configuration
    if not axis.applies({other: configuration.written_value(other) for other in axis.when}):
        return None
    value = configuration.written_value(name)
    return value if axis.uniform or axis.log_uniform or value in axis.options else None

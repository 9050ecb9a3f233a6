"""Whether any regularizer beats none by more than the spread over seeds, and what the gap says."""

from __future__ import annotations

import math

import pandas as pd

from aesweep.process.wording import plural
from aesweep.report.markdown import axis_value, interval, number
from aesweep.report.rows import Run, Stage, Trial
from aesweep.report.sentences.rules import gap_text
from aesweep.report.tables import QUANTITY, retrained_as
from aesweep.statistics import Estimate, difference, estimate


def regularizers(run: Run, stage: Stage, dataset: str) -> list[str]:
    """The best regularizer against none, then whether the network without one overfits."""
    cells = {dict(cell).get("regularizer"): winner for cell, winner in stage.cells(dataset).items()}
    none = cells.pop("none", None)
    if none is None or stage.columns:
        return []
    others = {name: winner for name, winner in cells.items() if winner is not None}
    return (_best_against_none(run, stage, none, others) if others else []) + _without(none)


def _best_against_none(run: Run, stage: Stage, none: Trial, others: dict[str, Trial]) -> list[str]:
    sign, quantity = (1.0 if stage.mode == "min" else -1.0), QUANTITY[stage.metric]
    name, best = min(others.items(), key=lambda item: sign * item[1].value(stage.metric))
    label = axis_value("regularizer", name)
    mine, plain = best.value(stage.metric), none.value(stage.metric)
    if sign * mine >= sign * plain:
        return [
            f"No regularizer beats none on validation images: {number(plain, quantity)} without one, "
            f"{number(mine, quantity)} with the best of them ({label})."
        ]
    text = f"{label} does best on validation images, {number(mine, quantity)} against {number(plain, quantity)} without"
    return [f"{text} a regularizer. {_beyond_spread(run, stage, none, best)}"]


def _beyond_spread(run: Run, stage: Stage, none: Trial, best: Trial) -> str:
    """Whether the difference is more than other seeds would make, or turns round, and how that is known."""
    # Of both the longest retraining that both have: what more epochs bring is no regularizer's doing.
    budgets = [
        {r.trial.budget for r in run.retrainings if r.result and _same(r.trial, trial)} for trial in (none, best)
    ]
    common = max(set.intersection(*budgets), default=None)
    retrained = {trial.name: _test_values(run, trial, common) if common else [] for trial in (none, best)}
    for what, mine, plain in (
        ("test MSE of the retrained models", retrained[best.name], retrained[none.name]),
        ("validation MSE of the search", best.last.per_seed, none.last.per_seed),
    ):
        found = difference(plain, mine)
        if found is not None:
            change = interval(Estimate(abs(found.mean), found.half_width, found.num_values))
            moved = f"the {what} {'falls' if found.mean >= 0 else 'rises'} by {change}"
            source = f"(Welch's 95 % interval, {plural(found.num_values, 'seed')} a side)"
            if found.mean < -found.half_width:
                return f"But {moved}, more than the spread over seeds {source}."
            verdict = "more" if found.mean > found.half_width else "not more"
            return f"That is {verdict} than the spread over seeds: {moved} {source}."
    for values in (_test_values(run, trial) for trial in (none, best)):
        found = estimate(values)
        if found and found.half_width is not None and stage.metric == "validation_mse":
            allowance = 2 * math.sqrt(2) * pd.Series(values).std() / found.mean
            gain = 1 - best.value(stage.metric) / none.value(stage.metric)
            verdict = "more" if gain > allowance else "not more"
            return (
                f"Each was trained with one seed here; the difference of {100 * gain:.1f} % is {verdict} than the "
                f"{100 * allowance:.1f} % by which two seeds of one configuration may differ (twice the standard "
                f"deviation of a difference, from {plural(len(values), 'retraining')})."
            )
    return "Each was trained with one seed, so the difference cannot be told from chance."


def _same(retrained: Trial, trial: Trial) -> bool:
    return (retrained.dataset, retrained.configuration) == (trial.dataset, trial.configuration)


def _test_values(run: Run, trial: Trial, epochs: int | None = None) -> list[float]:
    values = [retraining.result.get("test_mse") for retraining in retrained_as(run, trial, epochs)]
    return [value for value in values if value is not None]


def _without(none: Trial) -> list[str]:
    """Whether the network overfits without a regularizer, and whether its validation error rose."""
    last = none.last
    if not last.training_mse or not last.validation_mse:
        return []
    text = f"Without a regularizer, {gap_text(last.training_mse, last.validation_mse, 'validation')}"
    lowest = min(epoch.validation_mse for epoch in none.epochs if epoch.validation_mse is not None)
    if last.validation_mse > 1.01 * lowest:
        text += (
            f", and validation error rose by {100 * (last.validation_mse / lowest - 1):.0f} % after its lowest point"
        )
    return [text + "."]

"""Sections of stages over regularizers: whether any beats none by more than the spread over seeds, and the gap."""

from __future__ import annotations

import math
import statistics

import pandas as pd

from aesweep.process.wording import agree, plural
from aesweep.report.analysis.frames import QUANTITY, retrained_as
from aesweep.report.analysis.significance import welch
from aesweep.report.analysis.statistics import Estimate, estimate
from aesweep.report.figures.curves import learning_curves
from aesweep.report.figures.style import Drawing
from aesweep.report.rows.names import MISSING, axis_name, axis_value
from aesweep.report.rows.published import Published
from aesweep.report.rows.types import Run, Stage, Trial
from aesweep.report.sections.cells import (
    METHOD_NAMES,
    QUANTITY_NAMES,
    baseline_value,
    cell_value,
    empty_cells,
    retrained,
    retrained_estimate,
    searched,
    undertrained,
)
from aesweep.report.sections.chance import Chance
from aesweep.report.sections.rules import beats, gap_of, gap_text, is_known, verdict
from aesweep.report.sections.section import Claim, StageSection, StageView
from aesweep.report.text.markdown import inert, listing
from aesweep.report.text.numbers import decimals, interval, number
from aesweep.report.text.table import Table
from aesweep.search.winners import best as best_of
from aesweep.study.configuration import REGULARIZERS

# The regularizers that the published claim names; a run may try more.
PUBLISHED_REGULARIZERS = ("l1", "l2", "l1_l2", "dropout")


class Regularization(StageSection):
    """The section of a stage whose table's rows are regularizers."""

    rows = ("regularizer",)

    @property
    def claims(self) -> dict[str, Claim]:
        return {"no regularization beats L1, L2, L1 + L2 and dropout": regularization_claim}

    def tables(self, view: StageView) -> list[Table]:
        return [regularization_table(view.stage, view.dataset, view.frame, view.published)]

    def prose(self, view: StageView) -> list[str]:
        return [
            *regularizers(view.run, view.stage, view.dataset),
            *undertrained(view.stage, view.frame),
            *empty_cells(view.stage, view.dataset, view.frame),
        ]

    def drawings(self, view: StageView) -> list[Drawing | None]:
        return [learning_curves(f"{view.name}-curves", view.stage, view.dataset)]


def regularization_table(stage: Stage, dataset: str, frame: pd.DataFrame, published: Published) -> Table:
    """Formats a row per regularizer with its winner's strength, then the baselines."""
    quantity = QUANTITY[stage.metric]
    known = published.regularization(dataset) if quantity == "mse" else {}
    known = known if not set(known).isdisjoint(frame["regularizer"]) else {}
    texts = dict(zip(known, decimals(list(known.values())), strict=True))
    is_retrained = frame["test_mse"].notna().any()
    others = [stage.columns] if stage.columns else []
    headings = ["Regularizer", *map(axis_name, others), "Strength", "Trials", "Training MSE"]
    headings += [f"Validation {QUANTITY_NAMES[quantity]}", "Gap"]
    headings += ["Test MSE, retrained"] if is_retrained else []
    headings += ["Published validation MSE"] if known else []
    rows = []
    for index, line in frame.iterrows():
        cells = [inert(axis_value("regularizer", line["regularizer"]))]
        cells += [inert(axis_value(axis, line["columns"])) for axis in others]
        cells += [
            _strength(line),
            f"{line['num_completed']} of {line['num_trials']}",
            searched(line, number(line["training_mse"])),
        ]
        cells += [cell_value(stage, frame.loc[[index]]), searched(line, _gap(line))]
        cells += [retrained(line, interval(retrained_estimate(line, "test_mse")))] if is_retrained else []
        cells += [texts.get(line["regularizer"], MISSING)] if known else []
        rows.append(cells)
    for method, name in METHOD_NAMES.items():
        found = frame[f"{method}_validation"].dropna().unique()
        if len(found) == 1:
            text = baseline_value(frame.iloc[0], number(found[0], quantity), method, dataset, stage.name)
            cells = [f"*{name}*", *[""] * (len(others) + 3), text]
            rows.append(cells + [""] * (len(headings) - len(cells)))
    return Table(headings, rows, num_labels=2 + len(others))


def _strength(line: pd.Series) -> str:
    """Formats the strengths that the winner of a row was trained with."""
    if not is_known(line["value"]):
        return MISSING
    names = [name for name in REGULARIZERS.get(line["regularizer"], ()) if name in line]
    return ", ".join(f"{axis_value('regularizer', name)} {line[name]:.2g}" for name in names) or MISSING


def _gap(line: pd.Series) -> str:
    """Formats how far the validation error lies above the training error."""
    if not is_known(line["validation_mse"]) or not is_known(line["training_mse"]):
        return MISSING
    gap = gap_of(line["training_mse"], line["validation_mse"])
    return MISSING if gap is None else f"{100 * gap:+.0f} %"


def regularizers(run: Run, stage: Stage, dataset: str) -> list[str]:
    """Compares the best regularizer with none, then says whether the network without one overfits."""
    cells = {dict(cell).get("regularizer"): winner for cell, winner in stage.cells(dataset).items()}
    none = cells.pop("none", None)
    if none is None or stage.columns:
        return []
    others = {name: winner for name, winner in cells.items() if winner is not None}
    return (_best_against_none(run, stage, none, others) if others else []) + _without(none)


def _best_against_none(run: Run, stage: Stage, none: Trial, others: dict[str, Trial]) -> list[str]:
    quantity = QUANTITY[stage.metric]
    name = best_of(stage.mode, ((name, trial.value(stage.metric)) for name, trial in others.items()))
    best = others[name]
    label = axis_value("regularizer", name)
    mine, plain = best.value(stage.metric), none.value(stage.metric)
    if not beats(stage.mode, mine, plain):
        return [
            f"No regularizer beats none on validation images: {number(plain, quantity)} without one, "
            f"{number(mine, quantity)} with the best of them ({label})."
        ]
    text = f"{label} does best on validation images, {number(mine, quantity)} against {number(plain, quantity)} without"
    return [f"{text} a regularizer. {_beyond_spread(run, stage, none, best)}"]


def _beyond_spread(run: Run, stage: Stage, none: Trial, best: Trial) -> str:
    """Says whether the difference is larger than other seeds would make it, or is reversed, and how that is known."""
    # Both are compared by the longest retraining that both have, since the effect of epochs is not the regularizer's.
    budgets = [
        {r.trial.budget for r in run.retrainings if r.result and _same(r.trial, trial)} for trial in (none, best)
    ]
    common = max(set.intersection(*budgets), default=None)
    retrained = {trial.name: _test_values(run, trial, common) if common else [] for trial in (none, best)}
    for what, mine, plain in (
        ("test MSE of the retrained models", retrained[best.name], retrained[none.name]),
        ("validation MSE of the search", best.last.per_seed, none.last.per_seed),
    ):
        test = welch(mine, plain)
        if test is not None:
            fall, num_seeds = statistics.fmean(plain) - statistics.fmean(mine), min(len(plain), len(mine))
            change = interval(Estimate(abs(fall), (test.high - test.low) / 2, num_seeds))
            moved = f"the {what} {'falls' if fall >= 0 else 'rises'} by {change}"
            source = f"(Welch's 95 % interval, {plural(num_seeds, 'seed')} a side)"
            if test.high < 0:
                return f"But {moved}, more than the spread over seeds {source}."
            verdict = "more" if test.low > 0 else "not more"
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
    values = [retraining.result.test_mse for retraining in retrained_as(run, trial, epochs)]
    return [value for value in values if value is not None]


def _without(none: Trial) -> list[str]:
    """Says whether the network overfits without a regularizer, and whether its validation error rose."""
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


def regularization_claim(stage: Stage, frame: pd.DataFrame, chance: Chance) -> tuple[str, str] | None:
    known = frame.dropna(subset="value")
    none, others = known[known["regularizer"] == "none"], known[known["regularizer"].isin(PUBLISHED_REGULARIZERS)]
    if none.empty or others.empty or stage.columns:
        return None
    plain, quantity = float(none["value"].iloc[0]), QUANTITY[stage.metric]
    values = {axis_value("regularizer", line["regularizer"]): float(line["value"]) for _, line in others.iterrows()}
    wins = [not beats(stage.mode, value, plain) for value in values.values()]
    decided = [chance.decides(plain, value) for value in values.values()]
    found = verdict(wins, decided)
    better = [name for name, win in zip(values, wins, strict=True) if not win]
    near = [name for name, known in zip(values, decided, strict=True) if not known]
    if better:
        against = [f"{name} ({number(values[name], quantity)} against {number(plain, quantity)})" for name in better]
        text = f"better than none on validation images: {listing(against)}"
    else:
        text = f"the best value on validation images is that without one; tried were {listing(list(values))}"
    if near:
        text += f"; {listing(near)} {agree(len(near), 'differs', 'differ')} from none by no more than chance "
        text += f"({chance.text})"
    return found, text

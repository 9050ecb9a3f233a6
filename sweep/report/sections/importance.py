"""Section on the axes of the search: how much each decided, the metric over each, and what the search found when."""

from __future__ import annotations

from pydantic import ValidationError

from aesweep.process.wording import plural
from aesweep.report.analysis.importance import (
    BEST_SHARE,
    MIN_TRIALS,
    Importance,
    RungImportance,
    importances,
    varying_axes,
)
from aesweep.report.figures.axes import axes_figure
from aesweep.report.figures.spending import spending_figure
from aesweep.report.rows.names import MISSING, axis_name, file_name
from aesweep.report.rows.types import Run, Stage
from aesweep.report.sections.section import DatasetView, Section
from aesweep.report.text.markdown import inert
from aesweep.report.text.table import Table
from aesweep.study.search_space import SearchSpace

CHANCE = " °"
WITHIN = (
    "Within cells: by how much better trials are than the mean of their cell, to which a table's own axes add nothing."
)


def importance_section(view: DatasetView) -> Section | None:
    """Returns the section of one data set; None if no stage has trials on it."""
    tables, prose, drawings, footers = [], [], [], []
    for stage in view.run.stages.values():
        if view.dataset not in stage.datasets:
            continue
        space = space_of(view.run, stage)
        if space is None:
            prose.append(
                f"{inert(stage.name)}: its search space is not readable here, for example for want of the package of a "
                "family, so nothing is said about its axes."
            )
            continue
        found = importances(stage, view.dataset, space)
        if any(rung.axes for rung in found):
            tables.append(importance_table(stage, found))
            within = importances(stage, view.dataset, space, within_cells=True)
            if any(rung.axes for rung in within):
                tables.append(importance_table(stage, within, ", within cells"))
                footers.append(WITHIN)
        else:
            most = max((rung.num_trials for rung in found), default=0)
            prose.append(
                f"{inert(stage.name)}: too few trials to say which axis mattered ({most} to compare; it takes "
                f"{MIN_TRIALS}, and an axis that varies)."
            )
        axes = varying_axes([trial for trial in stage.trials if trial.dataset == view.dataset], space)
        drawings.append(axes_figure(file_name(view.dataset, stage.name, "axes"), stage, view.dataset, axes))
    drawings.append(spending_figure(file_name(view.dataset, "spending"), view.run, view.dataset))
    if not tables and not prose and not any(drawings):
        return None
    intro = (
        f"The share of each axis in what decided whether a trial was among the best {100 * BEST_SHARE:.0f} % after so "
        "many epochs (PED-ANOVA), with the middle 95 % of that share over random halves of the trials."
    )
    marked = any(CHANCE in str(cell) for table in tables for row in table.rows for cell in row)
    notes = f"{CHANCE.strip()}: no more than where values are dealt to the trials at random, in one case of 20."
    later = "At later epochs only those trials are compared that were not stopped before."
    return Section(
        "Which axis mattered",
        intro if tables else "",
        tables=tables,
        footer=" ".join([*([notes] if marked else []), later, *footers[:1]]) if tables else "",
        prose=prose,
        drawings=[drawing for drawing in drawings if drawing],
    )


def space_of(run: Run, stage: Stage) -> SearchSpace | None:
    """Returns a stage's search space as the journal's study has it; None if it cannot be read."""
    try:
        return SearchSpace.model_validate(run.study["stages"][stage.name]["space"])
    except (KeyError, ValidationError):
        return None


def importance_table(stage: Stage, found: list[RungImportance], where: str = "") -> Table:
    """Formats a row per axis and a column per rung, the most important axis of the first rung first.

    Args:
        stage: the stage.
        found: its importances at each rung.
        where: what the table's heading says after the stage's name.
    """
    told = [rung for rung in found if rung.axes]
    order = list(dict.fromkeys(importance.axis for rung in told for importance in rung.axes))
    headings = ["Axis", *(f"After {plural(rung.epoch, 'epoch')} ({plural(rung.num_trials, 'trial')})" for rung in told)]
    by_rung = [{importance.axis: importance for importance in rung.axes} for rung in told]
    rows = [[inert(axis_name(axis)), *(_cell(known.get(axis)) for known in by_rung)] for axis in order]
    return Table(headings, rows, lead=f"{inert(stage.name.replace('_', ' ').capitalize())}{where}:")


def _cell(importance: Importance | None) -> str:
    if importance is None:
        return MISSING
    share, low, high = (f"{100 * value:.0f}" for value in (importance.share, importance.low, importance.high))
    return f"{share} % ({low} to {high}){CHANCE if importance.is_chance else ''}"

"""Sections about the winners' configurations, the cost of the search, and what went wrong."""

from __future__ import annotations

import math
from collections import Counter

import pandas as pd

from aesweep.process.wording import agree, plural
from aesweep.report.analysis.account import STATUSES
from aesweep.report.figures.rungs import rungs_figure
from aesweep.report.rows.names import MISSING, axis_name, dataset_name, drawn_value, file_name
from aesweep.report.rows.types import Run, Stage, Trial
from aesweep.report.sections.section import DatasetView, RunView, Section
from aesweep.report.text.markdown import code, inert, listing
from aesweep.report.text.numbers import duration, hours, percent
from aesweep.report.text.table import Table
from aesweep.storage.event import Action
from aesweep.study.configuration import fields_in_use

# These statuses have a column even if no trial has them.
ALWAYS_SHOWN = ("completed", "stopped", "diverged", "failed")


def configurations_section(view: DatasetView) -> Section | None:
    """Shows every field of the stages' winners; None if there are no winners."""
    table = configurations_table(view.configurations)
    return Section("Best configurations", tables=[table]) if table else None


def search_section(view: DatasetView) -> Section | None:
    """Shows what early stopping saved on one data set; None if no stage has begun."""
    sentences = [
        account_sentence(line, bool(view.run.stages[line["stage"]].rungs))
        + brackets_sentence(view.run.stages[line["stage"]], view.dataset)
        + spared_sentence(view.run.stages[line["stage"]], view.dataset)
        + sampler_sentence(view, line["stage"])
        for _, line in view.account.iterrows()
        if line["dataset"] == view.dataset and line["stage"] in view.run.stages
    ]
    drawing = rungs_figure(file_name(view.dataset, "rungs"), view.run, view.dataset)
    return Section("Search", prose=sentences, drawings=[drawing] if drawing else []) if sentences else None


def cost_section(view: RunView) -> Section:
    """Shows how all trials ended, and what they cost."""
    title, table = "What the search cost", cost_table(view.account)
    if not table:
        return Section(title, "No trial has been started.")
    times = _wall_times(view.run)
    return Section(
        title,
        tables=[table],
        footer="A full search would train every trial to its last epoch. Core hours are the time that trials held "
        f"their workers.{f' Wall time: {times}.' if times else ''} "
        "([CSV](tables/account.csv), [every trial](tables/trials.csv))",
    )


def failures_section(view: RunView) -> Section:
    """Shows what ended badly, and how often the run was resumed."""
    table, closing = failures_table(view.failures), ""
    if view.run.num_resumed:
        closing = f"The run was ended and resumed {plural(view.run.num_resumed, 'time')}."
    if table:
        return Section("Failures", tables=[table], footer="([CSV](tables/failures.csv))", closing=closing)
    return Section(
        "Failures",
        "No trial diverged, failed or was interrupted, no attempt at one had to be repeated, and no file of a winner "
        "was lost.",
        closing=closing,
    )


def _wall_times(run: Run) -> str:
    parts = [f"{inert(stage.name)} {duration(stage.seconds)}" for stage in run.stages.values() if stage.seconds]
    if run.retraining_seconds:
        parts.append(f"retraining {duration(run.retraining_seconds)}")
    if run.seconds:
        parts.append(f"the whole run {duration(run.seconds)}")
    return listing(parts) if parts else ""


def configurations_table(winners: list[tuple[str, Trial]]) -> Table:
    """Formats every field of the winners' configurations, with a column for each winner."""
    headings = ["", *(inert(label) for label, _ in winners)]
    fields = fields_in_use(trial.configuration for _, trial in winners)
    rows = [[axis_name(field), *(inert(_field(trial, field)) for _, trial in winners)] for field in fields]
    rows.append(["Trial", *(code(trial.name) for _, trial in winners)])
    return Table(headings, rows if winners else [], num_labels=len(headings))


def _field(trial: Trial, field: str) -> str:
    return drawn_value(field, getattr(trial.configuration, field))


def cost_table(frame: pd.DataFrame) -> Table:
    """Formats how the trials ended and what they cost, with a last row for the total."""
    if frame.empty:
        return Table([], [])
    statuses = [status for status in STATUSES if frame[status].any() or status in ALWAYS_SHOWN]
    has_gpu = bool(frame["gpu_hours"].any())
    headings = ["Stage", "Data set", "Trials", *(status.capitalize() for status in statuses), "Stopped at"]
    headings += ["Epochs trained", "Full search", "Share", "Core hours"] + (["GPU hours"] if has_gpu else [])
    rows = []
    for _, line in frame.iterrows():
        stops = ", ".join(f"{rung}: {count}" for rung, count in line["stopped_at"].items()) or MISSING
        labels = [inert(line["stage"]), inert(dataset_name(line["dataset"]))]
        rows.append(labels + _account(line, statuses, stops, has_gpu))
    total = frame.drop(columns=["stage", "dataset", "stopped_at"]).sum()
    rows.append(["**All**", "", *_account(total, statuses, "", has_gpu)])
    return Table(headings, rows, num_labels=2, num_totals=1)


def _account(line: pd.Series, statuses: list[str], stops: str, has_gpu: bool) -> list[str]:
    share = line["epochs_trained"] / line["epochs_full"] if line["epochs_full"] else None
    return [
        f"{int(line['trials']):,}",
        *(f"{int(line[status]):,}" for status in statuses),
        stops,
        f"{int(line['epochs_trained']):,}",
        f"{int(line['epochs_full']):,}",
        percent(share),
        hours(line["core_hours"]),
        *([hours(line["gpu_hours"])] if has_gpu else []),
    ]


def sampler_sentence(view: DatasetView, stage: str) -> str:
    """Says what chose the configurations of a stage; empty where it was the default."""
    sampler = view.run.study.get("stages", {}).get(stage, {}).get("sampler", {})
    if sampler.get("name") != "tpe":
        return ""
    learned = "all cells" if sampler.get("shared") else "its own cell"
    return f" A tree-structured Parzen estimator chose each configuration by the earlier trials of {learned}."


def brackets_sentence(stage: Stage, dataset: str) -> str:
    """Says at which epoch the trials of each bracket were first compared; empty where there are no brackets."""
    mine = [trial for trial in stage.trials if trial.dataset == dataset and trial.bracket is not None and stage.rungs]
    told = []
    for rung, count in sorted(Counter(_first_rung(stage, trial) for trial in mine).items()):
        trials = f"{plural(count, 'trial')} {agree(count, 'was', 'were')}" if not told else f"{count:,}"
        began = "" if told else "compared "
        told.append(f"{trials} {began}from epoch {rung} on" if math.isfinite(rung) else f"{trials} never")
    return f" {listing(told)}." if told else ""


def _first_rung(stage: Stage, trial: Trial) -> float:
    """Returns the epoch at which a trial is first compared, by its own budget; infinite where it never is.

    The stage's rungs are those of its longest budget, which an extension may have given it.
    """
    rungs = [rung for rung in stage.rungs if rung < trial.budget]
    return rungs[trial.bracket] if trial.bracket < len(rungs) else math.inf


def spared_sentence(stage: Stage, dataset: str) -> str:
    """Says how many trials went on because their seeds' spread explains why they missed a cutoff; empty for none."""
    compared = [
        decision
        for trial in stage.trials
        if trial.dataset == dataset
        for decision in trial.decisions
        if decision.comparison and decision.action is Action.CONTINUE
    ]
    if not compared:
        return ""
    trials, level = {decision.trial for decision in compared}, compared[-1].comparison["significance"]
    return f" {plural(len(trials), 'trial')} went on below a cutoff, as far as chance explains (level {level:g})."


def account_sentence(line: pd.Series, has_rungs: bool = True) -> str:
    """Says what early stopping saved in a line of the account; `has_rungs` tells whether any trial could be stopped."""
    stops = ", ".join(f"{count} at epoch {rung}" for rung, count in line["stopped_at"].items())
    share = line["epochs_trained"] / line["epochs_full"] if line["epochs_full"] else None
    return (
        f"{inert(line['stage'])}: "
        + (f"ASHA stopped {sum(line['stopped_at'].values())} of " if has_rungs else "")
        + plural(line["trials"], "trial")
        + ("" if has_rungs else " without early stopping")
        + (f" ({stops})" if stops else "")
        + f"; {line['epochs_trained']:,} of {plural(line['epochs_full'], 'epoch')} "
        f"{agree(line['epochs_trained'], 'was', 'were')} trained "
        f"({percent(share)} of a full search)."
        + (f" {line['audited']:,} of those that were stopped went on out of competition." if line["audited"] else "")
    )


def failures_table(frame: pd.DataFrame) -> Table:
    """Formats the table of what ended badly; empty if nothing did."""
    rows = [
        [
            code(line["trial"]),
            inert(line["stage"]),
            inert(dataset_name(line["dataset"])),
            inert(line["status"]),
            str(line["epochs"]),
            code(line["reason"] or ""),
        ]
        for _, line in frame.iterrows()
    ]
    return Table(["Trial", "Stage", "Data set", "Ended", "Epochs", "Reason"], rows, num_labels=6)

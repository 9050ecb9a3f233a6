"""Figure of every trial's metric over epochs, with the rungs at which ASHA stopped some of the trials."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from aesweep.process.wording import agree, plural
from aesweep.report.analysis.account import stopped_at
from aesweep.report.figures.style import (
    BLACK,
    COLOURS,
    GREY,
    Drawing,
    is_narrow,
    log_errors,
    log_ticks,
    new_figure,
    width_in,
)
from aesweep.report.rows.names import dataset_name
from aesweep.report.rows.types import Epoch, Run, Stage, Trial

METRIC_LABELS = {
    "validation_mse": "Validation MSE per pixel",
    "validation_psnr_db": "Validation PSNR (dB)",
}
COLUMNS = 2
# The widths of a panel's y labels and of the widest letter of a tick label, estimated generously.
MARGIN_IN, LETTER_IN = 1.0, 0.08
MAX_ROWS = 3
# How each ending is drawn: endings differ in line and marker as well as in colour.
ENDINGS = {
    "stopped": ("Stopped at a rung", {"color": GREY, "linewidth": 0.8, "linestyle": "-", "marker": "x"}),
    "audited": (
        "Went on out of competition",
        {"color": GREY, "linewidth": 0.8, "linestyle": (0, (1, 1)), "marker": 4},  # a caret that points to the left
    ),
    "completed": ("Trained to the end", {"color": COLOURS[5], "linewidth": 1.0, "linestyle": "-", "marker": "o"}),
    "winner": (
        "Best of its cell",
        {"color": COLOURS[0], "linewidth": 1.4, "marker": "*", "markersize": 8, "markerfacecolor": COLOURS[4]},
    ),
    "diverged": ("Diverged", {"color": COLOURS[1], "linestyle": "--", "marker": "v", "markersize": 6}),
    "failed": (
        "Failed",
        {"color": BLACK, "linestyle": "-.", "marker": "s", "markersize": 6, "markerfacecolor": "white"},
    ),
    "open": ("Not ended", {"color": COLOURS[2], "linestyle": ":", "marker": "D"}),
}


def rungs_figure(name: str, run: Run, dataset: str) -> Drawing | None:
    """Draws a panel per stage, with a line per trial; returns None if no trial on the data set has a row."""
    stages = [s for s in run.stages.values() if any(t.epochs for t in s.trials if t.dataset == dataset)]
    if not stages:
        return None
    columns = 1 if is_narrow() else min(COLUMNS, len(stages))
    rows = -(-len(stages) // columns)
    has_room = rows * columns > len(stages)
    figure, panels = new_figure((0.1 if has_room else 0.4) + 2.6 * rows, rows, columns)
    handles = {}
    for axes, stage in zip(panels, stages, strict=False):
        _draw(axes, stage, dataset, width_in() / columns - MARGIN_IN)
        handles.update(dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True)))
    order = [label for label, _ in ENDINGS.values() if label in handles]
    shown = [handles[label] for label in order]
    if has_room:
        panels[-1].set_axis_off()
        panels[-1].legend(shown, order, loc="center", title="Each line is a trial", handlelength=3.5, labelspacing=0.8)
    else:
        figure.legend(shown, order, loc="outside upper center", ncols=2 if is_narrow() else 3, handlelength=3.5)
    has_rungs = any(stage.rungs for stage in stages)
    return Drawing(
        name,
        figure,
        f"A chart for each stage on {dataset_name(dataset)}: the validation metric of every trial over epochs"
        + (", with vertical lines at ASHA's rungs; trials that were stopped end at a rung with a cross" * has_rungs)
        + "; those trained to the end end with a dot, the best of each cell with a star.",
        f"Every trial of the search on {dataset_name(dataset)}."
        + (
            " Vertical lines are ASHA's rungs, with the number of trials that stopped there; trials compete within "
            "their cell alone, so a stopped trial may lie below another cell's best." * has_rungs
        ),
    )


def _draw(axes: Axes, stage: Stage, dataset: str, width_in: float) -> None:
    trials = [trial for trial in stage.trials if trial.dataset == dataset and trial.epochs]
    winners = {winner.name for winner in stage.cells(dataset).values() if winner is not None}
    order = list(ENDINGS)
    for trial in sorted(trials, key=lambda trial: order.index(_ending(trial, winners))):
        ending = _ending(trial, winners)
        points = _points(trial.epochs, stage.metric)
        _line(axes, points, "stopped" if ending == "audited" else ending)
        if trial.audit:
            _line(axes, points[-1:] + _points(trial.audit, stage.metric), "audited")
    stops = stopped_at(trials)
    for rung in stage.rungs:
        axes.axvline(rung, color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), zorder=1)
    ticks = sorted({1, *stage.rungs, stage.epochs})
    log_ticks(axes, ticks, _labels(ticks, stops, width_in))
    if stage.metric == "validation_mse":
        log_errors(axes)
    axes.set_title(f"{stage.name.replace('_', ' ').capitalize()}, {plural(len(trials), 'trial')}", loc="left")
    axes.set_xlabel("Epoch (logarithmic)")
    axes.set_ylabel(METRIC_LABELS[stage.metric])


def _points(epochs: Sequence[Epoch], metric: str) -> list[tuple[int, float]]:
    values = ((epoch.epoch, getattr(epoch, metric)) for epoch in epochs)
    return [(epoch, value) for epoch, value in values if value is not None and math.isfinite(value)]


def _line(axes: Axes, points: list[tuple[int, float]], ending: str) -> None:
    label, style = ENDINGS[ending]
    if points:
        order = 2 + list(ENDINGS).index(ending) / 10
        axes.plot(*zip(*points, strict=True), label=label, markevery=[-1], zorder=order, **style)


def _labels(ticks: list[int], stops: dict[int, int], width_in: float) -> list[str]:
    """Returns labels of ticks on a logarithmic axis, each placed low enough to keep clear of those to its left.

    If rungs are so close that there is no room for all labels, some are left out; the page lists every stop.
    """
    labels = [
        f"{tick}\n{stops[tick]} {agree(stops[tick], 'stops', 'stop')}" if tick in stops else f"{tick}" for tick in ticks
    ]
    num_lines = max(label.count("\n") + 1 for label in labels)
    span = math.log2(ticks[-1] / ticks[0]) or 1.0
    ends: list[float] = []  # right end of the last label in each row, in inches
    for index, (tick, label) in enumerate(zip(ticks, labels, strict=True)):
        middle = math.log2(tick / ticks[0]) / span * width_in
        half = LETTER_IN * (max(map(len, label.split("\n"))) + 1) / 2
        row = next((row for row, end in enumerate(ends) if end <= middle - half), len(ends))
        if row == MAX_ROWS:
            labels[index] = ""
            continue
        ends[row : row + 1] = [middle + half]
        labels[index] = "\n" * (row * num_lines) + label
    return labels


def _ending(trial: Trial, winners: set[str]) -> str:
    if trial.name in winners:
        return "winner"
    return trial.status if trial.status in ENDINGS else "open"

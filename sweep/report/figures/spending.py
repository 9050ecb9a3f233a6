"""Figure of what a search found over what it spent: the best value so far over the epochs trained so far."""

from __future__ import annotations

import math

from matplotlib.axes import Axes

from aesweep.report.figures.rungs import METRIC_LABELS
from aesweep.report.figures.style import COLOURS, GREY, Drawing, is_narrow, log_errors, log_ticks, new_figure
from aesweep.report.rows.names import dataset_name
from aesweep.report.rows.types import Run, Stage, Trial

COLUMNS = 3


def best_so_far(trials: list[Trial], metric: str, mode: str) -> list[tuple[int, float]]:
    """Returns (epochs trained so far, best value so far) wherever the best value of some trials improves.

    Epochs of all the trials count, in the order in which they were recorded.
    """
    rows = sorted((row for trial in trials for row in trial.epochs), key=lambda row: row.order)
    found: list[tuple[int, float]] = []
    for spent, row in enumerate(rows, 1):
        value = getattr(row, metric)
        if value is None or not math.isfinite(value):
            continue
        if not found or (value < found[-1][1] if mode == "min" else value > found[-1][1]):
            found.append((spent, value))
    return found


def spending_figure(name: str, run: Run, dataset: str) -> Drawing | None:
    """Draws a panel per stage: a line for the whole stage, and a thin one for each cell, which spends on its own."""
    stages = [s for s in run.stages.values() if any(t.epochs for t in s.trials if t.dataset == dataset)]
    if not stages:
        return None
    columns = 1 if is_narrow() else min(COLUMNS, len(stages))
    rows = -(-len(stages) // columns)
    figure, panels = new_figure(0.3 + 2.2 * rows, rows, columns)
    for panel, stage in zip(panels, stages, strict=False):
        _draw(panel, stage, dataset)
    for panel in panels[len(stages) :]:
        panel.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    figure.legend(known.values(), known, loc="outside upper center", ncols=2)
    return Drawing(
        name,
        figure,
        f"A chart for each stage on {dataset_name(dataset)}: the best validation metric so far over the epochs that "
        "all its trials had trained by then.",
        f"The best value so far over epochs spent, {dataset_name(dataset)}: of each stage as a whole, and of each cell "
        "over the epochs of that cell. A line that has long been flat says that more trials would hardly have helped.",
    )


def _draw(panel: Axes, stage: Stage, dataset: str) -> None:
    trials = [trial for trial in stage.trials if trial.dataset == dataset]
    cells: dict = {}
    for trial in trials:
        cells.setdefault(trial.cell, []).append(trial)
    if len(cells) > 1:
        for mine in cells.values():
            _line(panel, mine, stage, {"color": GREY, "linewidth": 0.6, "label": "Each cell"})
    _line(panel, trials, stage, {"color": COLOURS[0], "linewidth": 1.6, "label": "The whole stage"})
    num_epochs = sum(len(trial.epochs) for trial in trials)
    log_ticks(panel, [10**power for power in range(int(math.log10(max(num_epochs, 1))) + 1)])
    if stage.metric == "validation_mse":
        log_errors(panel)
    panel.set_title(stage.name.replace("_", " ").capitalize(), loc="left")
    panel.set_xlabel("Epochs trained")
    panel.set_ylabel(METRIC_LABELS[stage.metric])


def _line(panel: Axes, trials: list[Trial], stage: Stage, style: dict) -> None:
    points = best_so_far(trials, stage.metric, stage.mode)
    if points:
        end = sum(len(trial.epochs) for trial in trials)
        panel.step(*zip(*points, (max(end, 1), points[-1][1]), strict=True), where="post", **style)

"""Every trial's metric over epochs, with the rungs at which ASHA stopped some of them."""

from __future__ import annotations

import math

from matplotlib.axes import Axes

from sweep.report.account import stopped_at
from sweep.report.figures.style import BLACK, COLOURS, GREY, LIGHT, Drawing, log_errors, log_ticks, new_figure
from sweep.report.markdown import dataset_name
from sweep.report.rows import Run, Stage, Trial

METRIC_LABELS = {
    "validation_mse": "Validation MSE per pixel",
    "validation_psnr_db": "Validation PSNR (dB)",
    "validation_ssim": "Validation SSIM",
}
COLUMNS = 2
# How each ending is drawn: line and marker differ besides the colour.
ENDINGS = {
    "stopped": ("Stopped at a rung", {"color": LIGHT, "linewidth": 0.8}, {"marker": "x", "color": GREY}),
    "completed": ("Trained to the end", {"color": COLOURS[5], "linewidth": 1.0}, {"marker": "o", "color": COLOURS[0]}),
    "winner": ("Best of its cell", {"color": COLOURS[0], "linewidth": 1.5}, {"marker": "*", "color": COLOURS[1]}),
    "diverged": ("Diverged", {"color": COLOURS[3], "linestyle": "--"}, {"marker": "v", "color": COLOURS[3]}),
    "failed": ("Failed", {"color": BLACK, "linestyle": "-."}, {"marker": "s", "color": BLACK}),
    "open": ("Not ended", {"color": COLOURS[2], "linestyle": ":"}, {"marker": "D", "color": COLOURS[2]}),
}


def rungs_figure(name: str, run: Run, dataset: str) -> Drawing | None:
    """A panel per stage, a line per trial; None where no trial on the data set has a row."""
    stages = [s for s in run.stages.values() if any(t.epochs for t in s.trials if t.dataset == dataset)]
    if not stages:
        return None
    columns = min(COLUMNS, len(stages))
    rows = -(-len(stages) // columns)
    figure, panels = new_figure(0.4 + 2.6 * rows, rows, columns)
    handles = {}
    for axes, stage in zip(panels, stages, strict=False):
        _draw(axes, stage, dataset)
        handles.update(dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True)))
    for axes in panels[len(stages) :]:
        axes.remove()
    order = [label for label, _, _ in ENDINGS.values() if label in handles]
    figure.legend([handles[label] for label in order], order, loc="outside upper center", ncols=min(6, len(order)))
    return Drawing(
        name,
        figure,
        f"A chart for each stage on {dataset_name(dataset)}: the validation metric of every trial over epochs, with "
        "vertical lines at ASHA's rungs; trials that were stopped end at a rung with a cross, those trained to the end "
        "with a dot, the best of each cell with a star.",
        f"Every trial of the search on {dataset_name(dataset)}. Vertical lines are ASHA's rungs, with the number of "
        "trials that stopped there; trials compete within their cell alone, so a stopped trial may lie below another "
        "cell's best.",
    )


def _draw(axes: Axes, stage: Stage, dataset: str) -> None:
    trials = [trial for trial in stage.trials if trial.dataset == dataset and trial.epochs]
    winners = {winner.name for winner in stage.cells(dataset).values() if winner is not None}
    order = list(ENDINGS)
    for trial in sorted(trials, key=lambda trial: order.index(_ending(trial, winners))):
        ending = _ending(trial, winners)
        label, line, marker = ENDINGS[ending]
        points = [(epoch.epoch, getattr(epoch, stage.metric)) for epoch in trial.epochs]
        points = [(epoch, value) for epoch, value in points if value is not None and math.isfinite(value)]
        if points:
            size = 7 if ending == "winner" else 4.5
            level = 2 + order.index(ending) / 10
            axes.plot(*zip(*points, strict=True), zorder=level, **line)
            axes.plot(*points[-1], linestyle="", markersize=size, label=label, zorder=level + 1, **marker)
    stops = stopped_at(trials)
    for rung in stage.rungs:
        axes.axvline(rung, color=GREY, linewidth=0.7, linestyle=(0, (1, 2)), zorder=1)
    ticks = sorted({1, *stage.rungs, stage.epochs})
    log_ticks(axes, ticks, [f"{tick}\n{stops[tick]} stop" if tick in stops else f"{tick}" for tick in ticks])
    if stage.metric == "validation_mse":
        log_errors(axes)
    axes.set_title(f"{stage.name} ({len(trials)} trials)", loc="left")
    axes.set_xlabel("Epoch (logarithmic)")
    axes.set_ylabel(METRIC_LABELS[stage.metric])


def _ending(trial: Trial, winners: set[str]) -> str:
    if trial.name in winners:
        return "winner"
    return trial.status if trial.status in ENDINGS else "open"

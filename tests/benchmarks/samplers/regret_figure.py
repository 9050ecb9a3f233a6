"""Draws the regret over the epochs spent: a panel for each recorded table and number of workers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from samplers.contest import SEARCHERS, Outcome
from samplers.outcomes import SHARES, Task
from samplers.regret import bootstrap_interval, median
from samplers.summary import TPE

from aesweep.process.wording import plural
from aesweep.report.figures.style import BLACK, COLOURS, GREY, LINES, STYLE

LEAST = 1e-3  # regrets below are drawn there; a logarithmic axis has no zero
# Our own are drawn in full lines, rivals are not; each has a colour of its own besides.
LOOKS = {
    "ours, tpe": (BLACK, "-", 2.0),
    "ours, tpe, 3 brackets": (BLACK, LINES[1], 1.3),
    "ours, tpe not shared": (COLOURS[0], "-", 1.3),
    "ours, quasi_random": (GREY, "-", 1.3),
    "Ray Tune, random + ASHA": (COLOURS[1], LINES[1], 1.3),
    "Optuna, TPE + SuccessiveHalving": (COLOURS[2], LINES[2], 1.3),
    "Optuna, TPE + Hyperband": (COLOURS[3], LINES[3], 1.3),
    "Syne Tune, ASHA": (COLOURS[4], LINES[4], 1.3),
    "Syne Tune, BOHB": (COLOURS[5], LINES[5], 1.3),
}


def draw(found: Mapping[Task, Outcome], epochs: Mapping[str, int], path: Path) -> None:
    """Writes the figure.

    Args:
        found: outcomes.
        epochs: for each table, all of its epochs.
        path: of the file; its suffix is the format.
    """
    rows = list(dict.fromkeys((task.table, task.with_cells) for task in found))
    columns = sorted({task.num_workers for task in found})
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.75, 0.9 + 1.9 * len(rows)), layout="constrained")
        panels = figure.subplots(len(rows), len(columns), sharex=True, sharey="row", squeeze=False)
        for (table, with_cells), line in zip(rows, panels, strict=True):
            for num_workers, axes in zip(columns, line, strict=True):
                mine = {
                    task: outcome
                    for task, outcome in found.items()
                    if (task.table, task.with_cells, task.num_workers) == (table, with_cells, num_workers)
                }
                _panel(axes, mine, epochs[table])
                cells = "with cells" if with_cells else "without cells"
                axes.set_title(f"{table}, {cells},\n{plural(num_workers, 'worker')}", fontsize=8)
            line[0].set_ylabel("Median regret, %")
        for axes in panels[-1]:
            axes.set_xlabel("Epochs spent, % of all")
        drawn = {line.get_label(): line for axes in panels.flat for line in axes.get_lines()}
        handles = [drawn[name] for name in LOOKS if name in drawn]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=7)
        figure.savefig(path, dpi=150)


def _panel(axes: Axes, found: Mapping[Task, Outcome], num_epochs: int) -> None:
    for name in [*(name for name in SEARCHERS if name != TPE), TPE]:  # ours lies on top
        outcomes = [outcome for task, outcome in found.items() if task.searcher == name]
        if not outcomes:
            continue
        colour, style, width = LOOKS.get(name, (BLACK, ":", 1.3))
        at = sorted(set.intersection(*(set(outcome.epochs) for outcome in outcomes)))
        columns = [[outcome.regret_at(spent) for outcome in outcomes] for spent in at]
        shares = [100 * spent / num_epochs for spent in at]
        medians = [_shown(median(values)) for values in columns]
        axes.plot(shares, medians, color=colour, linestyle=style, linewidth=width, label=name)
        if name == TPE:
            intervals = [bootstrap_interval(values) for values in columns]
            low, high = ([_shown(interval[k]) for interval in intervals] for k in range(2))
            axes.fill_between(shares, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    most = max(task.share for task in found)
    ticks = [100 * share for share in SHARES if share <= most]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()


def _shown(regret: float) -> float:
    return math.nan if math.isinf(regret) else 100 * max(regret, LEAST)

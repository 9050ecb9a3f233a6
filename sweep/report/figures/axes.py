"""Figure of a stage's metric over each axis of its search space, with the cells told apart."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes

from aesweep.report.figures.rungs import METRIC_LABELS
from aesweep.report.figures.style import COLOURS, GREY, MARKERS, Drawing, is_narrow, log_errors, log_ticks, new_figure
from aesweep.report.rows.names import axis_name, axis_value, cell_name, dataset_name
from aesweep.report.rows.types import Cell, Stage, Trial
from aesweep.study.axis import Axis

MAX_COLUMNS = 3
LETTERS = 84  # that fit side by side below all panels of a row
MAX_LEGEND = len(MARKERS)


def axes_figure(name: str, stage: Stage, dataset: str, axes: dict[str, Axis]) -> Drawing | None:
    """Draws a panel per axis with a point per trial: its metric after its last epoch.

    Args:
        name: name of the files.
        stage: the stage.
        dataset: name of the data set.
        axes: the axes to show, those that have more than one value among the trials.

    Returns:
        The drawing; None if there is no axis or no trial with a finite value.
    """
    trials = [trial for trial in stage.trials if trial.dataset == dataset and _is_finite(trial.value(stage.metric))]
    if not axes or not trials:
        return None
    rows = -(-len(axes) // (2 if is_narrow() else MAX_COLUMNS))
    columns = -(-len(axes) // rows)
    figure, panels = new_figure(0.5 + 2.2 * rows, rows, columns, sharey=True)
    cells = list(dict.fromkeys(trial.cell for trial in trials))
    keys = _legend(cells, stage)
    for panel, (axis_id, axis) in zip(panels, axes.items(), strict=False):
        _draw(panel, stage, trials, axis_id, axis, keys, columns)
    for panel in panels[len(axes) :]:
        panel.set_axis_off()
    for row in range(rows):
        panels[row * columns].set_ylabel(METRIC_LABELS[stage.metric])
    if stage.metric == "validation_mse":
        log_errors(panels[0])
    handles = {
        label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=2 if is_narrow() else 4)
    shown = ", ".join(axis_name(axis).lower() for axis in axes)
    return Drawing(
        name,
        figure,
        f"Scatter charts for {stage.name} on {dataset_name(dataset)}: the validation metric of every trial after its "
        f"last epoch over each of {shown}.",
        f"Every trial of {stage.name} on {dataset_name(dataset)} after its last epoch, over each axis that varies. "
        "Filled: trained to the end; hollow: ended earlier, and so after fewer epochs.",
    )


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _legend(cells: list[Cell], stage: Stage) -> dict[Cell, tuple[str, int]]:
    """Returns a label and a number for each cell; by its row alone if there are more cells than markers."""
    if len(cells) <= MAX_LEGEND:
        return {cell: (cell_name(cell), index) for index, cell in enumerate(cells)}
    rows = list(dict.fromkeys(dict(cell)[stage.rows] for cell in cells))
    return {
        cell: (cell_name([(stage.rows, dict(cell)[stage.rows])]), rows.index(dict(cell)[stage.rows])) for cell in cells
    }


def _draw(
    panel: Axes,
    stage: Stage,
    trials: list[Trial],
    name: str,
    axis: Axis,
    keys: dict[Cell, tuple[str, int]],
    num_columns: int,
) -> None:
    places = None if axis.uniform or axis.log_uniform else [_text(name, option) for option in axis.options]
    for trial in trials:
        value = trial.configuration.value_of(name)
        place = value if places is None else places.index(_text(name, value)) if _text(name, value) in places else None
        if place is None or not axis.applies({on: trial.configuration.written_value(on) for on in axis.when}):
            continue
        label, index = keys[trial.cell]
        colour = COLOURS[index % len(COLOURS)]
        panel.plot(
            [place],
            [trial.value(stage.metric)],
            linestyle="none",
            marker=MARKERS[index % len(MARKERS)],
            markersize=4,
            color=colour,
            markerfacecolor=colour if trial.status == "completed" else "none",
            label=label,
        )
    if places is not None:
        is_wide = sum(len(place) + 2 for place in places) > LETTERS / (2 if is_narrow() else num_columns)
        panel.set_xticks(range(len(places)), places, rotation=90 if is_wide else 0)
        panel.set_xlim(-0.5, len(places) - 0.5)
    elif axis.log_uniform:
        low, high = axis.log_uniform
        log_ticks(panel, [low, math.sqrt(low * high), high], [f"{x:.2g}" for x in (low, math.sqrt(low * high), high)])
        panel.set_xlim(low / (high / low) ** 0.08, high * (high / low) ** 0.08)
    panel.set_xlabel(axis_name(name))
    panel.tick_params(axis="x", labelcolor=GREY)


def _text(name: str, value: Any) -> str:
    """Formats a value as a configuration or a study has it."""
    return axis_value(name, tuple(sorted(value.items())) if isinstance(value, dict) else value)

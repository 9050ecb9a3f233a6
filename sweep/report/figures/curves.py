"""Figure of training and validation error over epochs: a model overfits where the two diverge."""

from __future__ import annotations

from matplotlib.ticker import MaxNLocator

from aesweep.report.figures.style import BLACK, COLOURS, GREY, Drawing, is_narrow, log_errors, new_figure
from aesweep.report.rows.names import axis_value, dataset_name
from aesweep.report.rows.types import Stage, Trial

COLUMNS = 3


def learning_curves(name: str, stage: Stage, dataset: str) -> Drawing | None:
    """Draws a panel for the winner of each of a stage's cells, all on the same scales; None if no cell has a winner."""
    shown = [(cell, winner) for cell, winner in stage.cells(dataset).items() if winner is not None]
    if not shown:
        return None
    columns = min(2 if is_narrow() else COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure, panels = new_figure(0.45 + 1.6 * rows, rows, columns, sharex=True, sharey=True)
    for axes, (cell, winner) in zip(panels, shown, strict=False):
        _draw(axes, winner)
        axes.set_title(", ".join(axis_value(axis, value) for axis, value in cell), loc="left")
    for axes in panels[len(shown) :]:
        axes.remove()
    log_errors(panels[0])
    for index, axes in enumerate(panels[: len(shown)]):
        if index + columns >= len(shown):
            axes.set_xlabel("Epoch")
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.tick_params(labelbottom=True)
    figure.supylabel("MSE per pixel", fontsize=8.5)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    labels = [", ".join(axis_value(axis, value) for axis, value in cell) for cell, _ in shown]
    return Drawing(
        name,
        figure,
        f"Learning curves for {dataset_name(dataset)}, a panel for each of {', '.join(labels)}: training and "
        "validation MSE over epochs on a logarithmic axis, each panel with the validation error relative to the "
        "training error after the last epoch.",
        f"Training (solid) and validation (dashed) MSE of the best trial in each cell, {dataset_name(dataset)}; both "
        "are measured after the epoch and without dropout. The number is the gap after the last epoch: validation "
        "over training error.",
    )


def _draw(axes: object, winner: Trial) -> None:
    epochs = [epoch.epoch for epoch in winner.epochs]
    axes.plot(epochs, [epoch.training_mse for epoch in winner.epochs], color=GREY, linestyle="-", label="Training")
    axes.plot(
        epochs, [epoch.validation_mse for epoch in winner.epochs], color=COLOURS[0], linestyle="--", label="Validation"
    )
    last = winner.last
    if last.training_mse and last.validation_mse:
        gap = last.validation_mse / last.training_mse - 1
        axes.text(
            0.97,
            0.93,
            f"gap {100 * gap:+.0f} %",
            transform=axes.transAxes,
            ha="right",
            va="top",
            color=BLACK,
            fontsize=8,
        )

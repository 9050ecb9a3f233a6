"""Figure of a variational stage: the distortion of the reconstructions over the rate of the codes."""

from __future__ import annotations

import pandas as pd

from aesweep.report.figures.style import Drawing, line_style, log_errors, new_figure
from aesweep.report.rows.names import axis_name, axis_value, dataset_name
from aesweep.report.rows.types import Stage


def rate_distortion_figure(name: str, stage: Stage, dataset: str, frame: pd.DataFrame) -> Drawing | None:
    """Draws the MSE over the rate, with a point for each beta and a line for each column of the table.

    Test images are used if all cells were retrained, else validation images.

    Args:
        name: name of the files.
        stage: a stage whose table's rows are values of beta.
        dataset: name of the data set.
        frame: the stage's frame, from `frames.cell_frame`.

    Returns:
        The drawing; None if no cell has a rate.
    """
    is_retrained = len(frame.dropna(subset=["test_rate_nats", "test_mse"])) == len(frame)
    rate, error = ("test_rate_nats", "test_mse") if is_retrained else ("rate_nats", "validation_mse")
    found = frame.dropna(subset=[rate, error])
    if found.empty:
        return None
    split = "test" if is_retrained else "validation"
    figure, (axes,) = new_figure(3.1)
    columns = list(dict.fromkeys(found["columns"])) if stage.columns else [None]
    for index, column in enumerate(columns):
        mine = found[[value == column for value in found["columns"]]] if stage.columns else found
        mine = mine.sort_values(rate)
        label = axis_value(stage.columns, column) if stage.columns else None
        axes.plot(mine[rate].astype(float), mine[error].astype(float), label=label, **line_style(index))
        for _, line in mine.iterrows():
            axes.annotate(
                axis_value("beta", line["beta"]), (line[rate], line[error]), textcoords="offset points", xytext=(5, 4)
            )
    log_errors(axes)
    axes.margins(x=0.08)
    axes.set_xlabel("Rate: divergence of the code, nats an image")
    axes.set_ylabel(f"Distortion: MSE per pixel, {split} images")
    if stage.columns:
        axes.legend(title=axis_name(stage.columns))
    low, high = found[rate].min(), found[rate].max()
    lines = f", a line for each {axis_name(stage.columns).lower()}" if stage.columns else ""
    return Drawing(
        name,
        figure,
        f"Line chart for {dataset_name(dataset)}: MSE on {split} images over the rate of the code, from {low:.3g} to "
        f"{high:.3g} nats, a point for each beta{lines}.",
        f"Distortion over rate, {dataset_name(dataset)}, {split} images. Each point is labelled with its beta: the "
        "larger it is, the less the code tells of an image.",
    )

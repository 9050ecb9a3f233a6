"""Figure of the validation error over the latent dimension, with PCA and the mean image for comparison."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aesweep.report.figures.style import BLACK, GREY, Drawing, is_narrow, line_style, log_errors, log_ticks, new_figure
from aesweep.report.rows.names import axis_name, axis_value, dataset_name
from aesweep.report.rows.published import Published
from aesweep.report.rows.types import Stage
from aesweep.report.text.markdown import listing


def architecture_figure(
    name: str, stage: Stage, dataset: str, frame: pd.DataFrame, published: Published
) -> Drawing | None:
    """Draws a line for each column of the architecture table, over the latent dimension.

    Args:
        name: name of the files.
        stage: a stage whose table has the latent dimension for rows or columns.
        dataset: name of the data set.
        frame: the stage's frame, from `frames.cell_frame`.
        published: published numbers, drawn with hollow markers.

    Returns:
        The drawing; None if there is no latent dimension to draw over, or no cell has a value.
    """
    other = stage.columns if stage.rows == "latent_dim" else stage.rows
    if "latent_dim" not in (stage.rows, stage.columns):
        return None
    frame = frame.sort_values("latent_dim", kind="stable")
    found = frame.dropna(subset="value")
    if found.empty:
        return None
    figure, (axes,) = new_figure(3.1)
    labels = list(dict.fromkeys(_label(other, value) for value in _raw(stage, frame)))
    for index, label in enumerate(labels):
        mine = frame[[_label(other, value) == label for value in _raw(stage, frame)]]
        error = mine["half_width"].astype(float) if mine["half_width"].notna().any() else None
        axes.errorbar(
            mine["latent_dim"], mine["value"].astype(float), yerror(error), label=label, capsize=2, **line_style(index)
        )
    pca = frame.dropna(subset="pca_validation").drop_duplicates("latent_dim")
    if len(pca):
        axes.plot(
            pca["latent_dim"],
            pca["pca_validation"].astype(float),
            color=BLACK,
            linestyle="-",
            linewidth=0.9,
            marker="x",
            label="PCA",
            zorder=1.5,
        )
    mean_image = frame["mean_image_validation"].dropna()
    if len(mean_image):
        axes.axhline(mean_image.iloc[0], color=BLACK, linestyle=":", label="Mean image", zorder=1.5)
    dims = sorted(frame["latent_dim"].unique())
    others = published.architecture(dataset) if stage.metric == "validation_mse" else {}
    for index, (depth, values) in enumerate(others.items()):
        shown = {dim: value for dim, value in values.items() if dim in dims}
        if shown:
            marker = ("o", "s", "^", "D")[index % 4]
            axes.plot(
                list(shown), list(shown.values()), color=GREY, linewidth=0.8, linestyle="--", marker=marker,
                markerfacecolor="white", label=f"Published, {depth} layers", zorder=1.2,
            )  # fmt: skip
    log_ticks(axes, dims)
    is_error = stage.metric == "validation_mse"
    if is_error:
        log_errors(axes)
    axes.set_xlabel("Latent dimension")
    axes.set_ylabel("Validation MSE per pixel" if is_error else "Validation PSNR (dB)")
    _legend(figure, axes, labels, axis_name(other) if other else None)
    values = found["value"].astype(float)
    best = found.loc[values.idxmin() if stage.mode == "min" else values.idxmax()]
    compared = ["PCA"] if len(pca) else []
    compared += ["the mean image"] if len(mean_image) else []
    beside = f", with {listing(compared)}" if compared else ""
    quantity, scale = ("MSE", "on logarithmic axes") if is_error else ("PSNR", "on a logarithmic axis")
    extreme = (
        f"the {'lowest' if stage.mode == 'min' else 'highest'} point is {best['value']:.3g}{'' if is_error else ' dB'}"
    )
    return Drawing(
        name,
        figure,
        f"Line chart for {dataset_name(dataset)}: validation {quantity} over the latent dimension {scale}, a line for "
        f"each of {', '.join(labels)}{beside}; {extreme} at latent dimension {best['latent_dim']}.",
        f"Validation {quantity} of the best trial in each cell, {dataset_name(dataset)}. "
        + ("Both axes are logarithmic." if is_error else "The latent dimension is on a logarithmic axis."),
    )


def _legend(figure: Figure, axes: Axes, labels: list[str], title: str | None) -> None:
    """Draws the legend to the right: the networks under their axis' name, then what they are compared with.

    In a figure for a column it stands below, the two side by side.
    """
    found = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    nothing = Line2D([], [], linestyle="")
    entries = [(nothing, title)] if title else []
    entries += [(found[label], label) for label in labels]
    others = [(handle, label) for label, handle in found.items() if label not in labels]
    compared = [(nothing, "Compared with"), *others] if others else []
    if is_narrow():
        num_lines = max(len(entries), len(compared))
        entries += [(nothing, " ")] * (num_lines - len(entries)) + compared
        figure.set_figheight(2.3 + 0.16 * num_lines)
        figure.legend(*zip(*entries, strict=True), loc="outside lower center", ncols=2, handlelength=3.2)
        return
    entries += [(nothing, " "), *compared] if others else []
    figure.legend(*zip(*entries, strict=True), loc="outside right center", handlelength=3.2)


def yerror(half_widths: pd.Series | None) -> list[float] | None:
    return None if half_widths is None else list(half_widths.fillna(0.0))


def _raw(stage: Stage, frame: pd.DataFrame) -> list[object]:
    return list(frame["columns"] if stage.rows == "latent_dim" else frame["rows"])


def _label(axis: str | None, value: object) -> str:
    return "Network" if axis is None else axis_value(axis, value)

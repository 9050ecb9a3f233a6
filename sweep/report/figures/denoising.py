"""Figure of the denoisers' PSNR over the noise variance and over epochs, with the best linear denoiser's."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from aesweep.report.figures.architecture import yerror
from aesweep.report.figures.style import BLACK, COLOURS, GREY, Drawing, is_narrow, line_style, new_figure
from aesweep.report.rows.names import axis_value, dataset_name
from aesweep.report.rows.types import Run, Stage


def denoising_figure(name: str, run: Run, stage: Stage, dataset: str, frame: pd.DataFrame) -> Drawing | None:
    """Draws PSNR over the noise variance (test images if all cells were retrained, else validation), and over epochs.

    Args:
        name: name of the files.
        run: the run.
        stage: a stage whose table's rows are noise variances, without columns.
        dataset: name of the data set.
        frame: the stage's frame, from `frames.cell_frame`.

    Returns:
        The drawing, of two panels; None if no cell has a winner, or the table has columns.
    """
    winners = {dict(cell)["noise_variance"]: winner for cell, winner in stage.cells(dataset).items() if winner}
    if not winners or stage.columns:
        return None
    figure, (left, right) = new_figure(5.6, 2, 1) if is_narrow() else new_figure(3.3, 1, 2)
    first, second = ("Above", "Below") if is_narrow() else ("Left", "Right")
    split, has_bars = _over_variance(left, frame)
    left.set_xlabel("Noise variance")
    left.set_ylabel(f"PSNR, {split} images (dB)")
    for index, (variance, winner) in enumerate(sorted(winners.items())):
        style = line_style(index)
        epochs = [epoch.epoch for epoch in winner.epochs]
        values = [epoch.validation_psnr_db for epoch in winner.epochs]
        right.plot(epochs, values, label=f"{variance:g}", markevery=[-1], **style)
        linear = run.baseline(dataset, stage.name, "linear_mmse", "psnr_db", winner.configuration)
        if linear is not None:
            right.axhline(linear, color=style["color"], linewidth=0.9, linestyle=":")
            # The hollow marker shows which network the line belongs to without relying on colour.
            right.plot(
                epochs[-1], linear, color=style["color"], marker=style["marker"], markerfacecolor="white", linestyle=""
            )
    right.plot([], [], color=BLACK, linewidth=0.9, linestyle=":", label="Linear MMSE")
    right.set_xlabel("Epoch")
    right.set_ylabel("PSNR, validation images (dB)")
    right.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for axes, title in ((left, None), (right, "Network at noise variance")):
        axes.yaxis.set_major_locator(MaxNLocator(7, integer=True))
        handles, labels = axes.get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda index: labels[index] != "Network")
        axes.legend(
            [handles[index] for index in order],
            [labels[index] for index in order],
            loc="upper center",
            bbox_to_anchor=(0.5, -0.18),
            ncols=3,
            title=title,
            columnspacing=1.0,
            handlelength=2.4,
            handletextpad=0.6,
        )
    variances = [axis_value("noise_variance", variance) for variance in sorted(winners)]
    return Drawing(
        name,
        figure,
        f"Two charts for {dataset_name(dataset)}. {first}: PSNR over the noise variance for the network, the linear "
        f"MMSE denoiser and the noisy input, {split} images. {second}: validation PSNR of the network over epochs, a "
        f"line for each noise variance of {', '.join(variances)}, with the linear MMSE denoiser's as dotted lines.",
        f"PSNR of the denoisers, {dataset_name(dataset)}. {first}: on {split} images"
        + (", bars are 95 % intervals over seeds. " if has_bars else ". ")
        + f"{second}: on validation images during the search; a dotted line with a hollow marker is the "
        "linear MMSE denoiser's PSNR at the noise variance of the same marker.",
    )


def _over_variance(axes: Axes, frame: pd.DataFrame) -> tuple[str, bool]:
    """Draws the PSNR over the noise variance; returns the split of the images, and whether a point has an interval."""
    retrained = frame.dropna(subset="test_psnr_db")
    if len(retrained) == len(frame):
        split, value, error = "test", "test_psnr_db", "test_psnr_db_half_width"
    else:
        split, value, error = "validation", "validation_psnr_db", None
    axes.errorbar(
        frame["rows"], frame[value].astype(float), yerror(frame[error].astype(float) if error else None),
        label="Network", color=COLOURS[0], marker="o", capsize=2,
    )  # fmt: skip
    axes.plot(
        frame["rows"], frame[f"linear_mmse_{value}"].astype(float), color=BLACK, marker="x", linestyle="--",
        label="Linear MMSE",
    )  # fmt: skip
    axes.plot(
        frame["rows"], frame[f"noisy_input_{value}"].astype(float), color=GREY, marker="s", markerfacecolor="white",
        linestyle=":", label="Noisy input",
    )  # fmt: skip
    return split, error is not None and bool(frame[error].notna().any())

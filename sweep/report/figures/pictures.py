"""Grids of pictures: the inputs, and the output of each method."""

from __future__ import annotations

import math

import numpy as np

from aesweep.process.wording import agree, plural
from aesweep.report.figures.style import Drawing, Figure, width_in
from aesweep.report.rows.names import dataset_name

LABEL_IN = 1.05
GAP = 0.06


def reconstruction_grid(
    name: str, dataset: str, stage: str, arrays: dict[str, np.ndarray], latent_dim: int, pca_latent_dim: int
) -> Drawing:
    """Draws the originals, the retrained winner's reconstructions and PCA's, in a row each.

    Args:
        name: name of the files.
        dataset: name of the data set.
        stage: the stage whose winner is shown, with the winner's cell and epochs if several could be meant.
        arrays: original, winner, pca: float32 [N, C, H, W] in [0, 1].
        latent_dim: the winner's latent dimension.
        pca_latent_dim: PCA's latent dimension, which is at most the number of pixels and of images.
    """
    original = arrays["original"]
    images = "test image" if len(original) == 1 else plural(len(original), "test image")
    rows = [
        ("Original", original),
        (f"Winner\nMSE {_mse(arrays['winner'], original):.3g}", arrays["winner"]),
        (f"PCA\nMSE {_mse(arrays['pca'], original):.3g}", arrays["pca"]),
    ]
    if pca_latent_dim == latent_dim:
        methods, pca = f"reconstructions and PCA's, both from {plural(latent_dim, 'number')} an image", ""
    else:
        methods = f"reconstructions from {plural(latent_dim, 'number')} an image and PCA's from {pca_latent_dim}"
        pca = f" from {plural(pca_latent_dim, 'number')}, as many as there are"
    return Drawing(
        name,
        picture_grid(rows),
        f"{plural(len(original), 'test image')} of {dataset_name(dataset)} in three rows: the originals, the "
        f"retrained winner's "
        f"{methods}.",
        f"The first {images} of {dataset_name(dataset)} and "
        f"{agree(len(original), 'its reconstruction', 'their reconstructions')} from a code of "
        f"length {latent_dim}, by the retrained winner of {stage} (its first seed) and by PCA{pca}. The MSE is the "
        "mean over the images shown.",
    )


def denoising_grid(
    name: str, dataset: str, arrays: dict[str, np.ndarray], index: int, variance: float, network: str = ""
) -> Drawing:
    """Draws the clean, the noisy, the linear MMSE denoiser's and the network's images at one noise variance.

    Args:
        name: name of the files.
        dataset: name of the data set.
        arrays: original [N, C, H, W]; noisy, linear_mmse, denoised [V, N, C, H, W], in [0, 1].
        index: index of the noise variance among the V.
        variance: the noise variance.
        network: which network it is; empty if that is not known.
    """
    original = arrays["original"]
    images = "test image" if len(original) == 1 else plural(len(original), "test image")
    rows = [("Clean", original)]
    for label, key in (("Noisy", "noisy"), ("Linear MMSE", "linear_mmse"), ("Network", "denoised")):
        rows.append((f"{label}\n{_psnr_db(arrays[key][index], original):.1f} dB", arrays[key][index]))
    return Drawing(
        name,
        picture_grid(rows),
        f"{plural(len(original), 'test image')} of {dataset_name(dataset)} in four rows: clean, with Gaussian "
        f"noise of variance "
        f"{variance:g}, denoised by the linear MMSE denoiser, and denoised by the network{network and f', {network}'}.",
        f"The first {images} of {dataset_name(dataset)} under noise of variance {variance:g} "
        f"(standard deviation {math.sqrt(variance):.2g}), clipped to [0, 1], and denoised. "
        + (f"The network is {network} (its first seed). " if network else "")
        + "The PSNR is the mean over the images shown.",
    )


def picture_grid(rows: list[tuple[str, np.ndarray]]) -> Figure:
    """Draws labelled rows of pictures; every picture keeps its own pixels, so nothing is smoothed."""
    count = rows[0][1].shape[0]
    _, _, height, width = rows[0][1].shape
    whole_in = width_in()
    cell_in = (whole_in - LABEL_IN) / count
    picture_in = cell_in * (1 - GAP)
    row_in = picture_in * height / width + cell_in * GAP
    rows_in = max(row_in, 0.34)
    figure = Figure(figsize=(whole_in, rows_in * len(rows)))
    # All pictures share one `Axes`, in inches from the top left: one for each would take longer than all the rest.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for row, (label, images) in enumerate(rows):
        middle = (row + 0.5) * rows_in
        axes.text(LABEL_IN - 0.1, middle, label, ha="right", va="center", fontsize=8.5)
        half = picture_in * height / width / 2
        for column, image in enumerate(images):
            left = LABEL_IN + column * cell_in
            extent = (left, left + picture_in, middle + half, middle - half)
            axes.imshow(_pixels(image), cmap="gray", vmin=0, vmax=1, interpolation="none", extent=extent)
    axes.set(xlim=(0, whole_in), ylim=(rows_in * len(rows), 0), aspect="auto")
    return figure


def _pixels(image: np.ndarray) -> np.ndarray:
    """Converts [C, H, W] to what imshow takes: [H, W] for one channel, [H, W, 3] for colours."""
    return np.moveaxis(image[:3], 0, -1) if len(image) >= 3 else image[0]


def _mse(outputs: np.ndarray, targets: np.ndarray) -> float:
    return float(np.square(outputs.astype(np.float64) - targets).mean())


def _psnr_db(outputs: np.ndarray, targets: np.ndarray) -> float:
    errors = np.square(outputs.astype(np.float64) - targets).reshape(len(targets), -1).mean(axis=1)
    with np.errstate(divide="ignore"):
        return float(np.mean(-10 * np.log10(errors)))

"""Figures of codes: a map of test codes, pictures along lines between codes, and pictures of codes drawn at random."""

from __future__ import annotations

import numpy as np

from aesweep.process.wording import plural
from aesweep.report.figures.pictures import picture_grid
from aesweep.report.figures.style import COLOURS, Drawing, is_narrow, new_figure
from aesweep.report.rows.names import dataset_name


def code_map_figure(name: str, dataset: str, whose: str, positions: np.ndarray, labels: np.ndarray) -> Drawing:
    """Draws each code's label where the code lies on the map.

    The labels themselves are the marks, so that classes can be told apart without their colours.

    Args:
        name: name of the files.
        dataset: name of the data set.
        whose: which model's codes are shown.
        positions: positions in the unit square, [n, 2].
        labels: whole numbers, [n].
    """
    figure, (axes,) = new_figure(3.2 if is_narrow() else 4.6)
    for (x, y), label in zip(positions, labels.astype(int), strict=True):
        axes.text(
            x, y, str(label), color=COLOURS[label % len(COLOURS)], fontsize=6, ha="center", va="center",
            weight="bold" if label // len(COLOURS) % 2 else "normal",
        )  # fmt: skip
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.03, 1.03))
    axes.set_axis_off()
    number = plural(len(positions), "test image")
    return Drawing(
        name,
        figure,
        f"Map of the codes of {number} of {dataset_name(dataset)}: each is shown by its label, 0 to "
        f"{int(labels.max())}; codes near each other lie near each other.",
        f"The codes of the first {number} of {dataset_name(dataset)}, placed in two dimensions by t-SNE (codes of two "
        f"numbers at their own places), of {whose}. Each code is shown by the label of its image, which no training "
        "has seen. Distances between groups have no meaning.",
    )


def lines_figure(name: str, dataset: str, whose: str, lines: np.ndarray) -> Drawing:
    """Draws decoded codes along straight lines between the codes of pairs of test images.

    Args:
        name: name of the files.
        dataset: name of the data set.
        whose: which model's codes are shown.
        lines: pictures [pairs, steps, C, H, W]; the first and the last of each row are the test images.
    """
    rows = [(f"Pair {number}", pictures) for number, pictures in enumerate(lines, 1)]
    return Drawing(
        name,
        picture_grid(rows),
        f"Pictures of {dataset_name(dataset)} in {plural(len(lines), 'row')}: a test image at each end, and between "
        "them decoded codes along the line from the code of one to that of the other.",
        f"Along lines between the codes of pairs of test images of {dataset_name(dataset)}, of {whose}. The first and "
        "the last picture of a row are the images themselves; all others are decoded.",
    )


def samples_figure(name: str, dataset: str, whose: str, samples: np.ndarray) -> Drawing:
    """Draws decoded codes that were drawn from the standard normal distribution.

    Args:
        name: name of the files.
        dataset: name of the data set.
        whose: which model's codes are shown.
        samples: pictures [n, C, H, W].
    """
    half = -(-len(samples) // 2)
    rows = [("Samples", samples[:half]), ("", samples[half:])]
    return Drawing(
        name,
        picture_grid([row for row in rows if len(row[1])]),
        f"{plural(len(samples), 'picture')} decoded from codes that were drawn from a standard normal distribution.",
        f"Samples: {len(samples)} codes drawn from a standard normal distribution, to which a variational code is "
        f"held, and decoded, of {whose}.",
    )

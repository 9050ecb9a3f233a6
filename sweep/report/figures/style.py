"""What all figures share: size, colours, axes, and how one becomes files.

Colours are those of Okabe and Ito, which colour-blind readers tell apart; markers and line styles say the same without
colour. Files depend on the numbers alone: no date, and fixed identifiers inside the SVG.
"""

from __future__ import annotations

import dataclasses
import io
import math
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from aesweep.report.figures.defaults import default_settings
from aesweep.storage.atomic_file import write_whole

WIDTH_IN = 6.75
PNG_DPI = 200
METADATA = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}  # by format, all that are written
# Okabe and Ito, Color Universal Design, 2008; yellow is left out, being too faint for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BLACK, GREY = "#000000", "#6B6B6B"
# One more than the colours, so that the seventh line does not look like the first.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (2, 1)))

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.titlesize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.constrained_layout.h_pad": 0.05,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "svg.hashsalt": "aesweep",
    # Each picture keeps its own pixels in the SVG.
    "image.composite_image": False,
    # A dollar in a name is a dollar.
    "text.parse_math": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure with what the page says of it.

    Attributes:
        name: of its files, without suffix.
        figure: what is drawn.
        alternative: what it shows, for who does not see it.
        caption: a sentence or two below it.
    """

    name: str
    figure: Figure
    alternative: str
    caption: str


def styled() -> matplotlib.rc_context:
    """The style, and matplotlib's defaults for the rest, for a `with` around everything that draws or saves."""
    return matplotlib.rc_context({**default_settings(), **STYLE})


def new_figure(height_in: float, rows: int = 1, columns: int = 1, **shared: bool) -> tuple[Figure, list[Axes]]:
    """A page-wide figure and its axes, row by row; labels never overlap (constrained layout)."""
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **shared).flat)


def save(drawing: Drawing, folder: Path) -> None:
    """Writes NAME.png and NAME.svg, each whole."""
    for suffix in METADATA:
        write_whole(folder / f"{drawing.name}.{suffix}", encoded(drawing.figure, suffix))


def encoded(figure: Figure, suffix: str) -> bytes:
    """A figure as the content of a file, without a date or a version."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, dpi=PNG_DPI, metadata=METADATA[suffix])
    return buffer.getvalue()


def line_style(index: int) -> dict[str, object]:
    """Colour, marker and line of the index-th of several lines."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index % len(LINES)],
    }


def log_errors(axes: Axes) -> None:
    """A logarithmic y axis with plain numbers at 1, 2 and 5, or at more where the range is short."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    decades = math.log10(high / low)
    subs = (1, 2, 5) if decades > 0.9 else (1, 1.5, 2, 3, 4, 5, 6, 8) if decades > 0.3 else None
    if subs is None:
        axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    else:
        axes.yaxis.set_major_locator(LogLocator(10, subs=subs))
    # Ticks of a short range differ in a later digit than the third.
    digits = 6 if subs is None else 3
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.{digits}g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def log_ticks(axes: Axes, ticks: list[float], labels: list[str] | None = None) -> None:
    """A logarithmic x axis with ticks at the given values alone."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(ticks, labels or [f"{tick:g}" for tick in ticks])

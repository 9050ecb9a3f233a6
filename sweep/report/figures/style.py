"""What all figures share: size, colours, axes, and how a figure is written to files.

Colours are those of Okabe and Ito, which colour-blind readers can distinguish; markers and line styles carry the same
information without colour. Files depend on the numbers alone: they hold no date, and the SVG has fixed identifiers.
"""

from __future__ import annotations

import dataclasses
import io
import math

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from aesweep.report.figures.defaults import default_settings

# Of a page of text, and of one of its two columns.
WIDTHS_IN = {"page": 6.75, "column": 3.4}
PNG_DPI = 200
# By each format that is written.
METADATA = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
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
    # Outlines as in the font's own file, since journals do not take those of Type 3.
    "pdf.fonttype": 42,
    # Each picture keeps its own pixels in the SVG.
    "image.composite_image": False,
    # A dollar sign in a name is shown as such.
    "text.parse_math": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure with its texts on the page.

    Attributes:
        name: name of its files, without suffix.
        figure: the figure.
        alternative: text that describes it to a reader who does not see it.
        caption: a sentence or two below it.
    """

    name: str
    figure: Figure
    alternative: str
    caption: str


def styled(width: str = "page") -> matplotlib.rc_context:
    """Returns the style, over matplotlib's defaults, for a `with` around everything that draws or saves.

    Args:
        width: one of `WIDTHS_IN`, the width of the figures that are drawn in the block.
    """
    size = {"figure.figsize": (WIDTHS_IN[width], WIDTHS_IN[width])}
    return matplotlib.rc_context({**default_settings(), **STYLE, **size})


def width_in() -> float:
    """Returns the width of figures, in inches, as the style that is in force has it."""
    return float(matplotlib.rcParams["figure.figsize"][0])


def is_narrow() -> bool:
    """Returns whether figures are to fit a column, in which panels and legends stand below each other."""
    return width_in() < 5


def new_figure(height_in: float, rows: int = 1, columns: int = 1, **shared: bool) -> tuple[Figure, list[Axes]]:
    """Returns a figure of the style's width and its axes, row by row; labels never overlap (constrained layout)."""
    figure = Figure(figsize=(width_in(), height_in), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **shared).flat)


def encoded(figure: Figure, suffix: str) -> bytes:
    """Returns a figure as the content of a file, without a date or a version."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, dpi=PNG_DPI, metadata=METADATA[suffix])
    return buffer.getvalue()


def line_style(index: int) -> dict[str, object]:
    """Returns colour, marker and line style of the index-th of several lines."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index % len(LINES)],
    }


def log_errors(axes: Axes) -> None:
    """Makes the y axis logarithmic, with plain numbers at 1, 2 and 5, or at more values if the range is short."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    decades = math.log10(high / low)
    subs = (1, 2, 5) if decades > 0.9 else (1, 1.5, 2, 3, 4, 5, 6, 8) if decades > 0.3 else None
    if subs is None:
        axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    else:
        axes.yaxis.set_major_locator(LogLocator(10, subs=subs))
    # Ticks of a short range may differ only after the third digit.
    digits = 6 if subs is None else 3
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.{digits}g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def log_ticks(axes: Axes, ticks: list[float], labels: list[str] | None = None) -> None:
    """Makes the x axis logarithmic, with ticks at the given values alone."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(ticks, labels or [f"{tick:g}" for tick in ticks])

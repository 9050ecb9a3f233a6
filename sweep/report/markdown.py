"""Numbers and names as markdown shows them; text from a run is inert, whatever it holds."""

from __future__ import annotations

import itertools
import math
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from tabulate import tabulate

from aesweep.statistics import Estimate

MISSING = "–"

REGULARIZER_NAMES = {
    "none": "None",
    "l1": "L1",
    "l2": "L2",
    "l1_l2": "L1 + L2",
    "weight_decay": "Weight decay",
    "dropout": "Dropout",
    "sparse_code": "Sparse code",
}
AXIS_NAMES = {
    "hidden_layers": "Hidden layers",
    "latent_dim": "Latent dimension",
    "noise_variance": "Noise variance",
    "batch_size": "Batch size",
    "learning_rate": "Learning rate",
}
DATASET_NAMES = {"digits": "Digits", "mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}


def inert(text: Any) -> str:
    """Text that markdown and HTML show as it is, on one line."""
    plain = "".join(letter if letter.isprintable() else " " for letter in str(text))
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", plain).replace("://", ":&#8203;//").strip()


def code(text: Any) -> str:
    """Text in code letters, on one line, also inside a table."""
    plain = "".join(letter if letter.isprintable() else " " for letter in str(text))
    plain = plain.replace("`", "'").strip()
    return "`" + plain.replace("|", "\\|") + "`" if plain else MISSING


def shell_block(*commands: Sequence[str]) -> str:
    """Commands as a code block that they cannot leave, quoted for bash; what is not printable is escaped."""
    quoted = ((shlex.quote(word) if word.isprintable() else _escaped(word) for word in words) for words in commands)
    lines = "\n".join(" ".join(words) for words in quoted)
    longest = max((len(run) for run in re.findall("`+", lines)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{lines}\n{fence}"


def _escaped(word: str) -> str:
    """A word in bash's $'...' quotes, in which a newline is two letters."""
    letters = (f"\\{letter}" if letter in "'\\" else letter for letter in word)
    return "$'" + "".join(x if x.isprintable() else f"\\U{ord(x):08x}" for x in letters) + "'"


def axis_name(axis: str) -> str:
    """An axis as a heading."""
    return AXIS_NAMES.get(axis, axis.replace("_", " ").capitalize())


def axis_value(axis: str, value: Any) -> str:
    """A value of an axis as a row or column is headed: widths as 512-128, regularizers by their names."""
    if value is None:
        return MISSING
    if axis == "regularizer":
        return REGULARIZER_NAMES.get(value, value.replace("+", " + "))
    if isinstance(value, (tuple, list)):
        return "-".join(str(width) for width in value) or "none"
    # As the study has it: two values of an axis are two headings, also where they differ in the fifth digit.
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def cell_name(cell: Iterable[tuple[str, Any]]) -> str:
    """A cell in words, from its axes and their values: latent dimension 30, hidden layers 512-128."""
    return ", ".join(f"{axis_name(axis).lower()} {axis_value(axis, value)}" for axis, value in cell)


def dataset_name(name: str) -> str:
    return DATASET_NAMES.get(name, name)


def number(value: float | None, metric: str = "mse") -> str:
    """An MSE with three significant digits, a PSNR with two decimals, an SSIM with three."""
    if value is None or not math.isfinite(value):
        return MISSING
    if metric == "psnr_db":
        return f"{value:.2f}"
    if metric == "ssim":
        return f"{value:.3f}"
    if 0 < abs(value) < 1e-5:
        return f"{value:.2e}"
    return f"{value:.{_mse_decimals(value)}f}"


def interval(found: Estimate | None, metric: str = "mse") -> str:
    """A mean ± the half width of its 95 % interval, both with the same decimals; the mean alone for one value."""
    if found is None or found.half_width is None or not math.isfinite(found.mean):
        return number(found.mean if found else None, metric)
    if metric == "mse" and abs(found.mean) < 1e-5:
        return f"{found.mean:.2e} ± {found.half_width:.0e}"
    least = {"psnr_db": 2, "ssim": 3}.get(metric) or _mse_decimals(found.mean)
    # An interval narrower than the last digit gets the digits that show it, within reason.
    decimals = max(least, min(least + 2, _leading_decimals(found.half_width)))
    return f"{found.mean:.{decimals}f} ± {found.half_width:.{decimals}f}"


def decimals(values: Sequence[float]) -> list[str]:
    """Numbers of others as they were given, all with as many decimals as the longest of them."""
    texts = [f"{value:g}" for value in values]
    longest = max((len(text.partition(".")[2]) for text in texts), default=0)
    return texts if any("e" in text for text in texts) else [f"{value:.{longest}f}" for value in values]


def percent(share: float | None) -> str:
    return MISSING if share is None else f"{100 * share:.0f} %"


def duration(seconds: float | None) -> str:
    """Seconds below two minutes, minutes below two hours, else hours."""
    if seconds is None:
        return MISSING
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def hours(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


def file_name(*parts: str) -> str:
    """Names joined to one that is safe as a file's and inside a link."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", "-".join(parts)).lstrip(".")


def untaken(name: str, taken: Iterable[str]) -> str:
    """The name, or the first of name.2, name.3, ... that no file has yet, also where a system minds no case."""
    known = {other.casefold() for other in taken}
    numbered = (f"{name}.{number}" for number in itertools.count(2))
    return next(found for found in itertools.chain([name], numbered) if found.casefold() not in known)


def listing(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def drawn_value(axis: str, value: Any) -> str:
    """A value of an axis that may have been drawn at random, and has more digits than anybody reads."""
    return f"{value:.4g}" if isinstance(value, float) else axis_value(axis, value)


def bold(text: str) -> str:
    return f"**{text}**"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], num_labels: int = 1) -> str:
    """A markdown table of cells that are inert already.

    Args:
        headings: of the columns.
        rows: cells.
        num_labels: how many leading columns are text, aligned left; the rest are numbers, aligned right.
    """
    align = ["left" if column < num_labels else "right" for column in range(len(headings))]
    if not rows:
        return ""
    return tabulate(rows, headings, tablefmt="pipe", colalign=align, disable_numparse=True)


def _mse_decimals(value: float) -> int:
    """Decimals that make three significant digits."""
    return max(0, 2 - math.floor(math.log10(abs(value)))) if value else 3


def _leading_decimals(value: float) -> int:
    """Decimals up to the first digit that is not zero."""
    return -math.floor(math.log10(value)) if value > 0 else 0

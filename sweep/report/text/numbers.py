"""Formats numbers for the report, with no more digits than are meaningful."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aesweep.report.analysis.statistics import Estimate
from aesweep.report.rows.names import MISSING


def number(value: float | None, metric: str = "mse") -> str:
    """Formats an MSE with three significant digits, a PSNR with two decimals, an SSIM with three, a rate with one."""
    if value is None or not math.isfinite(value):
        return MISSING
    if metric == "psnr_db":
        return f"{value:.2f}"
    if metric == "ssim":
        return f"{value:.3f}"
    if metric == "rate":
        return f"{value:.1f}"
    if 0 < abs(value) < 1e-5:
        return f"{value:.2e}"
    return f"{value:.{_mse_decimals(value)}f}"


def interval(found: Estimate | None, metric: str = "mse") -> str:
    """Formats a mean ± the half width of its 95 % interval, with the same decimals; for one value, the mean alone."""
    if found is None or found.half_width is None or not math.isfinite(found.mean):
        return number(found.mean if found else None, metric)
    if metric == "mse" and abs(found.mean) < 1e-5:
        return f"{found.mean:.2e} ± {found.half_width:.0e}"
    least = {"psnr_db": 2, "ssim": 3, "rate": 1}.get(metric) or _mse_decimals(found.mean)
    # An interval narrower than the last digit gets up to two more decimals, so that it shows.
    decimals = max(least, min(least + 2, _leading_decimals(found.half_width)))
    return f"{found.mean:.{decimals}f} ± {found.half_width:.{decimals}f}"


def decimals(values: Sequence[float]) -> list[str]:
    """Formats published numbers as they were given, all with as many decimals as the longest of them."""
    texts = [f"{value:g}" for value in values]
    longest = max((len(text.partition(".")[2]) for text in texts), default=0)
    return texts if any("e" in text for text in texts) else [f"{value:.{longest}f}" for value in values]


def percent(share: float | None, num_decimals: int = 0) -> str:
    return MISSING if share is None else f"{100 * share:.{num_decimals}f} %"


def duration(seconds: float | None) -> str:
    """Formats a duration: seconds below two minutes, minutes below two hours, else hours."""
    if seconds is None:
        return MISSING
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def hours(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


def _mse_decimals(value: float) -> int:
    """Returns the number of decimals that makes three significant digits."""
    return max(0, 2 - math.floor(math.log10(abs(value)))) if value else 3


def _leading_decimals(value: float) -> int:
    """Returns the number of decimals up to the first digit that is not zero."""
    return -math.floor(math.log10(value)) if value > 0 else 0

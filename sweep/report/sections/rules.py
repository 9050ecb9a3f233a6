"""The rules on which the sentences rest: when a value is better, and when a model overfits."""

from __future__ import annotations

import pandas as pd

from aesweep.report.analysis.frames import QUANTITY
from aesweep.report.rows.names import cell_name
from aesweep.report.rows.types import Stage
from aesweep.report.text.numbers import number
from aesweep.search.winners import is_better

# An error on unseen images that exceeds the training error by more than this share is called overfitting.
OVERFITTING_GAP = 0.10
HOLDS, FAILS, WITHIN_CHANCE = "Holds", "Does not hold", "Within chance"


def is_known(value: float | None) -> bool:
    return value is not None and not pd.isna(value)


def beats(mode: str, value: float, other: float | None) -> bool:
    """Returns whether a value is better than another; true if the other is not known."""
    return bool(is_better(mode, value, other if is_known(other) else None))


def gap_of(training: float, other: float) -> float | None:
    """Returns how far an error on unseen images lies above the training error, relative to it; None if that is 0."""
    return other / training - 1 if training else None


def gap_text(training: float, other: float, split: str) -> str:
    """Says whether an error on unseen images lies so far above the training error that it is called overfitting."""
    gap = gap_of(training, other)
    if gap is None:
        return (
            f"{split} error and training error are both 0" if other == 0 else f"training error is 0, {split} error not"
        )
    if gap > OVERFITTING_GAP:
        return f"{split} error lies {100 * gap:.0f} % above training error: it overfits"
    return f"{split} error lies {100 * abs(gap):.0f} % {'above' if gap > 0 else 'below'} training error: no overfitting"


def cell_text(stage: Stage, line: pd.Series) -> str:
    """Describes a cell in words: latent dimension 30, hidden layers 512-128."""
    axes = [(stage.rows, line["rows"])] + ([(stage.columns, line["columns"])] if stage.columns else [])
    return cell_name(axes)


def metric_text(stage: Stage, value: float) -> str:
    """Formats a value of the stage's metric with its name: validation MSE 0.00139."""
    quantity = QUANTITY[stage.metric]
    name = {"mse": "MSE", "psnr_db": "PSNR"}[quantity]
    return f"validation {name} {number(value, quantity)}" + (" dB" if quantity == "psnr_db" else "")


def against(value: float, other: float, what: str) -> str:
    """Compares an error with another: 3.3 times below PCA (0.00568)."""
    if value < other and value > 0:
        return f"{other / value:.1f} times below {what} ({number(other)})"
    if value < other:
        return f"0, below {what} ({number(other)})"
    return f"not below {what} ({number(other)})"


def verdict(for_it: list[bool], decided: list[bool]) -> str:
    """Returns the verdict on a claim about several pairs of numbers.

    Args:
        for_it: whether each pair supports the claim.
        decided: whether each pair differs by more than chance.
    """
    if any(known and not speaks for speaks, known in zip(for_it, decided, strict=True)):
        return FAILS
    return HOLDS if all(decided) else WITHIN_CHANCE

"""How much two numbers of one stage may differ by chance alone, estimated from seeds of the same configuration."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from aesweep.report.analysis.frames import QUANTITY
from aesweep.report.rows.types import Run, Stage
from aesweep.report.text.numbers import number

# Converts a small relative difference of MSE to dB: the derivative of 10 log10(x) at x = 1.
DB_PER_RELATIVE = 10 / math.log(10)


@dataclasses.dataclass(frozen=True)
class Chance:
    """The allowance for a difference between two values of a stage's metric.

    Attributes:
        quantity: "mse", whose allowance is relative, or "psnr_db", whose allowance is in dB.
        allowance: twice the standard deviation of a difference; None if no configuration was trained with two seeds.
    """

    quantity: str
    allowance: float | None

    def decides(self, value: float, other: float) -> bool:
        """Returns whether two values differ by more than chance, or, without an allowance, in the digits shown."""
        if number(value, self.quantity) == number(other, self.quantity):
            return False
        if self.allowance is None:
            return True
        difference = abs(value - other)
        return difference > self.allowance * (1.0 if self.quantity == "psnr_db" else (value + other) / 2)

    @property
    def text(self) -> str:
        """The reason for the decisions, as words of a sentence."""
        if self.allowance is None:
            return "no two seeds tell more"
        by = f"{self.allowance:.2g} dB" if self.quantity == "psnr_db" else f"{100 * self.allowance:.2g} %"
        return f"two seeds of one configuration may differ by {by}"


def chance_of(run: Run, stage: Stage, dataset: str) -> Chance:
    """Estimates the allowance for a stage's metric on a data set from the seeds of the stage's winners.

    If each winner has one seed, it is estimated from the retrainings on the data set that are denoisers or plain
    autoencoders as the winners are.
    """
    winners = [winner for winner in stage.cells(dataset).values() if winner is not None]
    spread = _relative([winner.last.per_seed for winner in winners])
    num_seeds = min((len(winner.seeds) for winner in winners), default=1)
    if spread is None:
        denoises = stage.rows == "noise_variance"
        groups: dict[tuple, list[float]] = {}
        for retraining in run.retrainings:
            trial, result = retraining.trial, retraining.result
            same = trial.dataset == dataset and (trial.configuration.noise_variance > 0) == denoises
            if same and result and result.test_mse:
                groups.setdefault((trial.configuration, trial.budget), []).append(result.test_mse)
        spread = _relative(groups.values())
    quantity = QUANTITY[stage.metric]
    if spread is None:
        return Chance(quantity, None)
    allowance = 2 * math.sqrt(2 / num_seeds) * spread
    return Chance(quantity, allowance * (DB_PER_RELATIVE if quantity == "psnr_db" else 1.0))


def _relative(groups: Iterable[Iterable[float]]) -> float | None:
    """Returns the standard deviation within groups, relative to their means; None if no group has two values."""
    found = [np.asarray(list(group), dtype=np.float64) for group in groups]
    ratios = [group.std(ddof=1) / group.mean() for group in found if len(group) > 1 and group.mean() > 0]
    return math.sqrt(float(np.mean(np.square(ratios)))) if ratios else None

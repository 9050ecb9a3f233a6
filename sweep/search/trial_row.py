"""The row that a trial reports of each epoch; it passes from the worker, in a bundle, through Ray to the recorder."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class ErrorsOnTest:
    """The errors of a retrained model on the test set.

    Attributes:
        mse: mean squared error per pixel.
        psnr_db: mean peak signal-to-noise ratio in dB.
        ssim: mean structural similarity; None where the outputs are not finite.
        rate_nats: mean divergence of a variational code from a standard normal one; None for a plain code.
    """

    mse: float
    psnr_db: float
    ssim: float | None = None
    rate_nats: float | None = None


@dataclasses.dataclass(frozen=True)
class TrialRow:
    """One epoch of a trial. With several seeds, metrics are means over the seeds, and times are sums.

    For a denoiser (noise variance above 0) every error is that of the denoised image against the clean one.

    Attributes:
        epoch: 1-based.
        loss: the objective, as trained.
        learning_rate: the rate at the epoch's end.
        seconds: time of training.
        training_mse: error on the training probe, after the epoch.
        diverged: whether a loss, a parameter or an error of the epoch is not finite.
        held_seconds: time for which the epoch held the device, evaluation included.
        validation_mse, validation_psnr_db: errors on the validation images; None in a retraining.
        per_seed: validation MSE of each seed; None in a retraining.
        rate_nats: mean divergence of a variational code from a standard normal one, on the validation images; None for
            a plain code and in a retraining.
        checkpoint: `file`, `sha256` and `num_bytes` of the first seed's model, in the last row; None where it could not
            be written.
        test: errors on the test set, in the last row of a retraining.
        continued_from: in the first row of a trial that continues, the epoch after which it continues (0 for the
            start); else None.
        rejected: why each newer state was not used to continue from.
        members_per_step: after the device ran short of memory, number of members that train in lock-step from now on;
            else None.
        memory_reason: the device's message in that case.
        is_awaited: whether something waits for the row to be recorded: the trial's end, ASHA's decision at a rung, or a
            state of the trial that is to be written.
    """

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    training_mse: float
    diverged: bool
    held_seconds: float = 0.0
    validation_mse: float | None = None
    validation_psnr_db: float | None = None
    per_seed: list[float] | None = None
    rate_nats: float | None = None
    checkpoint: dict[str, Any] | None = None
    test: ErrorsOnTest | None = None
    continued_from: int | None = None
    rejected: list[str] = dataclasses.field(default_factory=list)
    members_per_step: int | None = None
    memory_reason: str = ""
    is_awaited: bool = False

"""What a trial tells of an epoch that it has trained: from the worker, through Ray, to the recorder."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class ErrorsOnTest:
    """Of a retrained model on the test set; `ssim` is None where the outputs are not finite."""

    mse: float
    psnr_db: float
    ssim: float | None = None


@dataclasses.dataclass(frozen=True)
class TrialRow:
    """One epoch of a trial. With several seeds, numbers are means over them, and times sums.

    For a denoiser (noise variance above 0) every error is that of the denoised image against the clean one.

    Attributes:
        epoch: 1-based.
        loss: the objective, as trained.
        learning_rate: at the epoch's end.
        seconds: of training.
        training_mse: on the training probe, after the epoch.
        diverged: whether any of these is not finite.
        held_seconds: of the device, with evaluation.
        validation_mse, validation_psnr_db: None in a retraining.
        per_seed: validation MSE of each seed; None in a retraining.
        checkpoint: `file`, `sha256` and `num_bytes` of the first seed's model, in the last row; None where it could not
            be written.
        test: of a retraining, in its last row.
        continued_from: in the first row of a trial that goes on, the epoch after which it does; 0 from the start.
        rejected: why each newer state was passed over then.
        members_per_step: where memory was short, how many go in lock-step from now on.
        memory_reason: what the device said then.
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
    checkpoint: dict[str, Any] | None = None
    test: ErrorsOnTest | None = None
    continued_from: int | None = None
    rejected: list[str] = dataclasses.field(default_factory=list)
    members_per_step: int | None = None
    memory_reason: str = ""

"""The journal's events, a dataclass for each kind; no other module defines their fields.

docs/JOURNAL.md says when each is recorded. Fields are plain values, as JSON holds them. A number that was not finite is
None, and so is a field that the journal does not hold, such as one that an older version did not write.
"""

from __future__ import annotations

import dataclasses

from aesweep.storage.event import Action, Cause, Event, Fields, RunStatus, TrialStatus


@dataclasses.dataclass(frozen=True, kw_only=True)
class Commanded(Event):
    """An event that a command records.

    Attributes:
        command, options: the command line as typed, and what of it the next one needs (`aesweep.run.command_options`).
        places: maps each folder of images to its path relative to the run's folder.
        resources: what was decided to train on where the study leaves it open.
    """

    optional = ("command", "options", "places", "resources")
    command: list[str] | None = None
    options: Fields | None = None
    places: dict[str, str] | None = None
    resources: Fields | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunStarted(Commanded):
    kind = "run_started"
    study: Fields
    study_hash: str
    environment: Fields
    num_workers: int
    reference: Fields | None
    datasets: dict[str, Fields]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resumed(Commanded):
    kind = "resumed"
    environment: Fields
    num_workers: int
    unrecorded_seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extended(Commanded):
    kind = "extended"
    stages: dict[str, dict[str, int]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RetrainingAsked(Commanded):
    kind = "retraining_asked"
    epochs: int | None
    seeds: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageStarted(Event):
    kind = "stage_started"
    stage: str
    num_trials: int
    num_cells: int
    rungs: list[int]
    epochs: int
    training_images: int | None
    validation_images: int | None
    metric: str
    mode: str
    table: Fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageExtended(StageStarted):
    kind = "stage_extended"
    extension: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialCreated(Event):
    kind = "trial_created"
    optional = ("bracket", "based_on")
    stage: str
    dataset: str
    trial: str
    cell: Fields
    configuration: Fields
    seeds: list[int]
    epochs: int
    bracket: int | None = None
    based_on: dict[str, int] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row(Event):
    """An epoch: a search has `per_seed` and validation metrics, a variational model `rate_nats`, the last a model."""

    kind = "row"
    optional = ("validation_mse", "validation_psnr_db", "per_seed", "rate_nats", "checkpoint")
    trial: str
    epoch: int
    loss: float | None
    training_mse: float | None
    validation_mse: float | None = None
    validation_psnr_db: float | None = None
    learning_rate: float | None
    seconds: float | None
    per_seed: list[float | None] | None = None
    rate_nats: float | None = None
    checkpoint: Fields | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decision(Event):
    kind = "decision"
    optional = ("comparison",)
    trial: str
    epoch: int
    action: Action
    value: float
    cutoff: float | None
    num_compared: int
    comparison: Fields | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialEnded(Event):
    kind = "trial_ended"
    trial: str
    status: TrialStatus
    epochs: int
    reason: str | None
    seconds: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure(Event):
    kind = "failure"
    trial: str
    epoch: int
    cause: Cause
    reason: str
    retried: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Continued(Event):
    kind = "continued"
    trial: str
    epoch: int
    rejected: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryShort(Event):
    kind = "memory_short"
    trial: str
    epoch: int
    members_per_step: int
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Baseline(Event):
    kind = "baseline"
    dataset: str
    split: str
    stage: str | None
    method: str
    latent_dim: int | None
    noise_variance: float | None
    mse: float | None
    psnr_db: float | None
    ssim: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CellWinner(Event):
    kind = "cell_winner"
    stage: str
    dataset: str
    cell: Fields
    trial: str | None
    value: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageWinner(Event):
    kind = "stage_winner"
    stage: str
    dataset: str
    cell: Fields
    trial: str
    value: float
    configuration: Fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageEnded(Event):
    kind = "stage_ended"
    stage: str
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class RetrainingCreated(Event):
    kind = "retraining_created"
    trial: str
    dataset: str
    configuration: Fields
    seed: int
    epochs: int
    num_images: int
    serves: list[Fields]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retrained(Event):
    kind = "retrained"
    optional = ("test_rate_nats",)
    trial: str
    training_mse: float | None
    test_mse: float | None
    test_psnr_db: float | None
    test_ssim: float | None
    test_rate_nats: float | None = None
    epochs: int
    seconds: float
    checkpoint: Fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointLost(Event):
    kind = "checkpoint_lost"
    trial: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelLost(Event):
    kind = "model_lost"
    trial: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pictures(Event):
    """Example images. Only older runs have `pca_latent_dim`, and only newer runs have `cells` and `epochs`."""

    kind = "pictures"
    optional = ("pca_latent_dim", "cells", "epochs")
    dataset: str
    stage: str
    purpose: str
    file: str
    sha256: str
    latent_dim: int | None
    pca_latent_dim: int | None = None
    noise_variances: list[float] | None
    cells: list[Fields] | None = None
    epochs: list[int] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """The data set, stage and purpose; of several events with the same key, the last one counts."""
        return self.dataset, self.stage, self.purpose


@dataclasses.dataclass(frozen=True, kw_only=True)
class Codes(Event):
    """What the labels of test images can be told by: the codes of a retraining, PCA's codes, or pixels."""

    kind = "codes"
    dataset: str
    method: str
    latent_dim: int | None
    retraining: str | None
    probe_accuracy: float
    neighbour_accuracy: float
    num_fitted: int
    num_judged: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunEnded(Event):
    kind = "run_ended"
    status: RunStatus
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unknown(Event):
    """An event of a kind that this version does not know."""

"""Typed rows of a run, from which the tables, figures and sentences are made.

A run may be unfinished: whatever is missing is None or empty, and a trial without an end has the status "unfinished" or
"waiting".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from aesweep.search.winners import best
from aesweep.storage.event import Action, CellKey, Event
from aesweep.storage.events import Codes, Decision, Pictures, Retrained
from aesweep.study.configuration import Configuration

Cell = CellKey
DENOISERS = ("noisy_input", "linear_mmse")  # the baselines of denoisers


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One epoch of a trial, from the journal's `row`; a value is None if it was not finite or not measured.

    Attributes:
        order: the row's place among all rows of the run, in the order in which they were recorded.
    """

    epoch: int
    loss: float | None
    training_mse: float | None
    validation_mse: float | None
    validation_psnr_db: float | None
    seconds: float | None
    per_seed: tuple[float, ...]
    rate_nats: float | None = None
    order: int = 0


@dataclasses.dataclass(frozen=True)
class Trial:
    """A trial of a search, or a retraining.

    Attributes:
        name: the trial's id.
        stage: name of its stage; None for a retraining.
        budget: number of epochs that it trains if nothing stops it.
        epochs: the recorded epochs, ascending, without those that were trained out of competition.
        decisions: ASHA's decisions on it.
        status: "completed", "stopped", "audited" (stopped, and trained on out of competition), "diverged", "failed",
            "interrupted"; "unfinished" (no end recorded) or "waiting" (nothing recorded).
        seconds: how long it held its worker; None if its end is not recorded.
        bracket: number of rungs at which it is not compared; None where its stage has no brackets.
        audit: the epochs that it was trained out of competition, after ASHA had stopped it.
    """

    name: str
    stage: str | None
    dataset: str
    cell: Cell
    configuration: Configuration
    seeds: tuple[int, ...]
    budget: int
    epochs: tuple[Epoch, ...]
    decisions: tuple[Decision, ...]
    status: str
    reason: str | None
    seconds: float | None
    bracket: int | None = None
    audit: tuple[Epoch, ...] = ()

    @property
    def last(self) -> Epoch | None:
        """The last epoch in competition."""
        return self.epochs[-1] if self.epochs else None

    @property
    def stopped_at(self) -> int | None:
        """The epoch after which ASHA stopped it; None where it did not."""
        last = self.decisions[-1] if self.decisions else None
        return last.epoch if last and last.action in (Action.STOP, Action.AUDIT) else None

    def value(self, metric: str) -> float | None:
        """Returns the metric at the last epoch; None if no epoch is recorded."""
        return getattr(self.last, metric) if self.last else None


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage that was started.

    Attributes:
        rows, columns: the axes of its table; columns may be None.
        winners: best fully trained trial of each (data set, cell); None if no trial was trained to the end.
        seconds: wall time; None if the stage has not ended.
    """

    name: str
    metric: str
    mode: str
    rows: str
    columns: str | None
    rungs: tuple[int, ...]
    epochs: int
    training_images: int | None
    validation_images: int | None
    trials: tuple[Trial, ...]
    winners: dict[tuple[str, Cell], Trial | None]
    seconds: float | None

    @property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(trial.dataset for trial in self.trials))

    def cells(self, dataset: str) -> dict[Cell, Trial | None]:
        """Returns the cells of one data set with their winners."""
        return {cell: winner for (name, cell), winner in self.winners.items() if name == dataset}

    def best(self, dataset: str) -> Trial | None:
        """Returns the stage's winner on one data set."""
        return self.best_of(winner for winner in self.cells(dataset).values() if winner is not None)

    def best_of(self, trials: Iterable[Trial]) -> Trial | None:
        """Returns the best trial by the stage's metric, the first of equals; None if there is no trial."""
        return best(self.mode, ((trial, trial.value(self.metric)) for trial in trials))


@dataclasses.dataclass(frozen=True)
class Retraining:
    """One training of a winner on training and validation images together.

    Attributes:
        trial: its rows; `stage` is None and `seeds` holds one seed.
        num_images: number of images that it was trained on.
        serves: (stage, cell, trial) of each winner that it stands for; a winner that was beaten later is left out.
        result: the journal's event; None if it gave no result.
    """

    trial: Trial
    num_images: int
    serves: tuple[tuple[str, Cell, str], ...]
    result: Retrained | None


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that the report shows of a run.

    Attributes:
        resources: on what trials train: the study's, or what the last session has decided where the study leaves it
            open.
        commands: the commands that started the run and that asked for more of it, as typed.
        status: "completed", "interrupted", "failed"; "unfinished" where no end is recorded, "empty" where no start is,
            "open" where something follows the last end.
        baselines: (data set, split, stage or None, method, latent dimension or None, noise variance or None) to the
            event's mse, psnr_db and ssim.
        incidents: what went wrong and did not end the run, as the journal's `failure`, `continued`, `checkpoint_lost`
            and `model_lost` events, in order.
        num_resumed: how often a session resumed the run.
        seconds: wall time of all sessions that ended; of a killed one, once the run is resumed, up to its last event.
        retraining_seconds: wall time of the retraining; None if it has not ended.
    """

    status: str
    study: dict[str, Any]
    study_hash: str
    resources: dict[str, Any]
    commands: tuple[tuple[str, ...], ...]
    environment: dict[str, Any]
    reference: dict[str, Any] | None
    datasets: dict[str, dict[str, Any]]
    stages: dict[str, Stage]
    retrainings: tuple[Retraining, ...]
    baselines: dict[tuple, dict[str, Any]]
    pictures: tuple[Pictures, ...]
    codes: tuple[Codes, ...]
    incidents: tuple[Event, ...]
    num_resumed: int
    started_at: float | None
    seconds: float
    retraining_seconds: float | None

    def baseline(
        self, dataset: str, stage: str | None, method: str, metric: str, configuration: Configuration
    ) -> float | None:
        """Returns what a baseline reaches on the images that judge a configuration; None if there is no such number.

        Args:
            dataset: the data set's name.
            stage: the stage whose validation images are meant; None for the test set.
            method: "mean_image", "pca", "noisy_input" or "linear_mmse".
            metric: "mse", "psnr_db" or "ssim".
            configuration: the configuration, which gives PCA its latent dimension and the denoisers their noise
                variance. The first two methods see clean images and are not compared with a denoiser, nor the last two
                with a plain autoencoder.
        """
        if (method in DENOISERS) != (configuration.noise_variance > 0):
            return None
        key = baseline_key(dataset, stage, method, configuration.latent_dim, configuration.noise_variance)
        return self.baselines.get(key, {}).get(metric)


def baseline_key(
    dataset: str, stage: str | None, method: str, latent_dim: float, noise_variance: float
) -> tuple[Any, ...]:
    """Returns the key in `Run.baselines` of what a method reaches; one that the method does not depend on is left out.

    Args:
        dataset: the data set's name.
        stage: the stage whose validation images are meant; None for the test set.
        method: "mean_image", "pca", "noisy_input" or "linear_mmse".
        latent_dim: number of components, for PCA.
        noise_variance: variance of the noise, for the denoisers.
    """
    return (
        dataset,
        "test" if stage is None else "validation",
        stage,
        method,
        latent_dim if method == "pca" else None,
        noise_variance if method in DENOISERS else None,
    )


def codes_key(dataset: str, method: str, latent_dim: int | None) -> tuple[Any, ...]:
    """Returns the key of what the codes of "pca" or the "pixels" themselves tell of labels."""
    return "codes", dataset, method, latent_dim

"""One Ray Tune trial: a trial is trained in this worker process or by a trainer; each epoch's row goes to the driver.

Imports no torch until it trains here, so that the driver, and workers that wait for a trainer, stay small.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import time
from collections.abc import Iterator
from typing import Any

import ray
from ray import tune
from ray.exceptions import ActorUnavailableError

from aesweep.cluster.tune.scheduler import ROW
from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.artifacts import Files

# How long a trial waits for a lost trainer to be started again, on another node perhaps.
RETURN_S = 600.0


def train_trial(config: dict[str, Any], images: dict[str, Any], files: Files) -> None:
    """What Ray Tune runs where each trial trains in its own process.

    Args:
        config: `spec`, a `aesweep.search.trial_spec.TrialSpec`.
        images: data set name to a reference of its `aesweep.data.ImageData` in the object store.
        files: where the trial leaves its states and its checkpoint.
    """
    from aesweep.training.single_trial import fit

    spec = config["spec"]
    for row in fit(spec, _images(images[spec.dataset]), files):
        tune.report({ROW: row})


def follow_trainer(config: dict[str, Any], images: dict[str, Any], files: Files, trainers: list[Any]) -> None:
    """What Ray Tune runs where trainers train.

    Args:
        config: `spec`, and `trainer`, the number of the one to go to.
        images: as above.
        files: as above.
        trainers: handles of all `aesweep.cluster.tune.trainer.Trainer`.
    """
    spec = config["spec"]
    # ASHA's stop comes as SystemExit out of the report; closing the rows tells the trainer at once.
    with contextlib.closing(trained_rows(spec, images[spec.dataset], files, trainers[config["trainer"]])) as rows:
        for row in rows:
            tune.report({ROW: row})


def trained_rows(spec: TrialSpec, images: ray.ObjectRef, files: Files, trainer: Any) -> Iterator[TrialRow]:
    """The rows of a trial that a trainer trains.

    Args:
        spec: what to train.
        images: a reference to its data set.
        files: where the training leaves its states and its checkpoint.
        trainer: an actor's handle.

    Raises:
        ActorUnavailableError, RuntimeError: the trainer is lost. It is started again, and another attempt may join it.
        ray.exceptions.RayError: the training broke, or the trainer is lost for good.
    """
    attempt = secrets.token_hex(8)
    _join(trainer, spec, attempt, [images], files)
    try:
        epoch, diverged = 0, False
        while epoch < spec.epochs and not diverged:
            row = ray.get(trainer.next_row.remote(spec.trial, attempt))
            if row is None:
                raise RuntimeError("the trainer's process has died, and another one does not know of this attempt")
            yield row
            epoch, diverged = row.epoch, row.diverged
    finally:
        trainer.leave.remote(spec.trial, attempt)


def _join(trainer: Any, *arguments: Any) -> None:
    """Joins a trainer, and waits for one that is being started again."""
    deadline = time.monotonic() + RETURN_S
    while True:
        try:
            return ray.get(trainer.join.remote(*arguments))
        except ActorUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


@functools.lru_cache(maxsize=4)
def _images(reference: ray.ObjectRef) -> Any:
    """The images, read once per worker: its arrays stay in the node's shared memory."""
    return ray.get(reference)

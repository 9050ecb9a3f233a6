"""One Ray Tune trial: a job is trained in this worker process or by a trainer; each epoch's row goes to the driver.

Imports no torch until it trains here, so that the driver, and workers that wait for a trainer, stay small.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import secrets
import time
from collections.abc import Iterator
from typing import Any

import ray
from ray import tune
from ray.exceptions import ActorUnavailableError

from sweep.job import Job

# How long a trial waits for a lost trainer to be started again, on another node perhaps.
RETURN_S = 600.0
# So often in a row, without an epoch in between, a trial may see its trainer die before it is held to be the reason.
MAX_LOSSES = 3


def train_trial(config: dict[str, Any], images: dict[str, Any]) -> None:
    """What Ray Tune runs where each trial trains in its own process.

    Args:
        config: `job`, a `sweep.job.Job`.
        images: data set name to a reference of its `data.ImageData` in the object store.
    """
    from sweep.training.fit import fit

    job = config["job"]
    for row in fit(job, _images(images[job.dataset])):
        tune.report(row)


def follow_trainer(config: dict[str, Any], images: dict[str, Any], trainers: list[Any]) -> None:
    """What Ray Tune runs where trainers train.

    Args:
        config: `job`, and `trainer`, the number of the one to go to.
        images: as above.
        trainers: handles of all `sweep.cluster.trainer.Trainer`.
    """
    # ASHA's stop comes as SystemExit out of the report; closing the rows tells the trainer at once.
    job = config["job"]
    with contextlib.closing(trained_rows(job, images[job.dataset], trainers[config["trainer"]])) as rows:
        for row in rows:
            tune.report(row)


def trained_rows(job: Job, images: ray.ObjectRef, trainer: Any) -> Iterator[dict[str, Any]]:
    """The rows of a job that a trainer trains, from its newest state again where the trainer is lost in between.

    Args:
        job: what to train.
        images: a reference to its data set.
        trainer: an actor's handle.

    Raises:
        RuntimeError: the trainer died again and again where this job trained.
        ray.exceptions.RayError: the training broke, or the trainer is lost for good.
    """
    losses = 0
    while losses < MAX_LOSSES:
        attempt = secrets.token_hex(8)
        try:
            _join(job, attempt, images, trainer)
            while (row := ray.get(trainer.next_row.remote(job.trial, attempt))) is not None:
                yield row
                # Only now is the row recorded, and what the training may go on from.
                job, losses = dataclasses.replace(job, recorded=max(job.recorded, row["epoch"])), 0
                if row["diverged"] or row["epoch"] >= job.epochs:
                    return
        except ActorUnavailableError:
            pass
        finally:
            trainer.leave.remote(job.trial, attempt)
        losses += 1
    raise RuntimeError(f"{job.trial}: its trainer died {losses} times after epoch {job.recorded} and before the next")


def _join(job: Job, attempt: str, images: ray.ObjectRef, trainer: Any) -> None:
    deadline = time.monotonic() + RETURN_S
    while True:
        try:
            return ray.get(trainer.join.remote(job, attempt, [images]))
        except ActorUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


@functools.lru_cache(maxsize=4)
def _images(reference: ray.ObjectRef) -> Any:
    """The images, read once per worker: its arrays stay in the node's shared memory."""
    return ray.get(reference)

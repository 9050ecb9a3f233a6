"""The functions that a Ray Tune trial runs: training in this worker process, or following the training by a trainer.

The rows of its epochs are reported to the driver in bundles, see `RowBuffer`. The module imports torch only to train in
this process, so that the driver, and workers that wait for a trainer, stay small.
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

from aesweep.cluster.tune.scheduler import ROWS
from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.artifacts import Files

# How long a trial waits for a lost trainer to be restarted, possibly on another node.
RETURN_S = 600.0


def train_trial(config: dict[str, Any], images: dict[str, Any], files: Files) -> None:
    """Trains a trial in this process and reports its rows to Ray Tune.

    Args:
        config: a mapping with `spec`, an `aesweep.search.trial_spec.TrialSpec`.
        images: by name of the data set, a reference to its `aesweep.data.ImageData` in the object store.
        files: storage for the trial's states and its checkpoint.
    """
    from aesweep.training.single_trial import fit_in_bundles

    spec = config["spec"]
    for rows in fit_in_bundles(spec, _images(images[spec.dataset]), files):
        tune.report({ROWS: rows})


def follow_trainer(config: dict[str, Any], images: dict[str, Any], files: Files, trainers: list[Any]) -> None:
    """Has a trial trained by its trainer and reports its rows to Ray Tune.

    Args:
        config: a mapping with `spec`, see `train_trial`, and `trainer`, the number of the trial's trainer.
        images: see `train_trial`.
        files: see `train_trial`.
        trainers: handles of all actors of `aesweep.cluster.tune.trainer.Trainer`, by number.
    """
    spec = config["spec"]
    # ASHA's stop is raised as SystemExit by the report; closing the bundles makes the trial leave its trainer at once.
    with contextlib.closing(trained_bundles(spec, images[spec.dataset], files, trainers[config["trainer"]])) as bundles:
        for rows in bundles:
            tune.report({ROWS: rows})


def trained_bundles(spec: TrialSpec, images: ray.ObjectRef, files: Files, trainer: Any) -> Iterator[list[TrialRow]]:
    """Yields the rows of a trial that a trainer trains, in bundles.

    Args:
        spec: the trial to train.
        images: a reference to the trial's data set.
        files: storage for the trial's states and its checkpoint.
        trainer: the trainer's actor handle.

    Raises:
        ActorUnavailableError, RuntimeError: the trainer is lost. It is restarted, and another attempt may join it.
        ray.exceptions.RayError: the training failed, or the trainer is permanently lost.
    """
    attempt = secrets.token_hex(8)
    _join(trainer, spec, attempt, [images], files)
    try:
        epoch, diverged = 0, False
        while epoch < spec.epochs and not diverged:
            rows = ray.get(trainer.next_rows.remote(spec.trial, attempt))
            if rows is None:
                raise RuntimeError("the trainer's process has died, and another one does not know of this attempt")
            yield rows
            epoch, diverged = rows[-1].epoch, rows[-1].diverged
    finally:
        trainer.leave.remote(spec.trial, attempt)


def _join(trainer: Any, *arguments: Any) -> None:
    """Joins a trainer; while it is being restarted, waits for it up to `RETURN_S` seconds."""
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
    """Returns the images, read once per worker; their arrays stay in the node's shared memory."""
    return ray.get(reference)

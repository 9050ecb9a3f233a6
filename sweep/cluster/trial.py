"""One Ray Tune trial: a job is trained in this worker process, and each epoch's row goes to the driver.

Imports no torch until it runs, so that the driver and idle workers stay small.
"""

from __future__ import annotations

import functools
from typing import Any

import ray
from ray import tune

from sweep.files import Files


def train_trial(config: dict[str, Any], images: dict[str, Any], files: Files) -> None:
    """What Ray Tune runs.

    Args:
        config: `job`, a `sweep.job.Job`.
        images: data set name to a reference of its `data.ImageData` in the object store.
        files: where the trial leaves its states and its checkpoint.
    """
    from sweep.training.fit import fit

    job = config["job"]
    for row in fit(job, _images(images[job.dataset]), files):
        tune.report(row)


@functools.lru_cache(maxsize=4)
def _images(reference: ray.ObjectRef) -> Any:
    """The images, read once per worker: its arrays stay in the node's shared memory."""
    return ray.get(reference)

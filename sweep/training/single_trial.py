"""A job from its first epoch to its last, alone in its process: a row after each epoch.

Pure torch: usable in a notebook, and what a Ray Tune trial runs that has no trainer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aesweep.data.image_data import ImageData
from aesweep.search.trial_spec import Job
from aesweep.storage.artifacts import Files
from aesweep.training.checkpoints.state_file import FOLDER
from aesweep.training.engine.precision import configure_torch
from aesweep.training.pack_pool import Packs


def fit(job: Job, images: ImageData, files: Files = FOLDER) -> Iterator[dict[str, Any]]:
    """Trains a job and yields the rows of its epochs: `aesweep.training.packed_trial.Trainee.row` says what they hold.

    A job of which some epochs are recorded goes on from the newest whole state of its members, else from the start;
    epochs that are trained again give the same rows again.

    Args:
        job: what to train.
        images: its data set.
        files: where the states and the checkpoint go that the job names.
    """
    configure_torch(num_threads=1, precision=job.precision)
    packs = Packs()
    trainee = packs.join(job, images, files)
    while not trainee.done:
        for _, row in packs.train_epoch():
            if isinstance(row, Exception):
                raise row
            yield row
            trainee.taken(row["epoch"])

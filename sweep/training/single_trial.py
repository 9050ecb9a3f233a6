"""A trial from its first epoch to its last, alone in its process: a row after each epoch.

Pure torch: usable in a notebook, and what a Ray Tune trial runs that has no trainer.
"""

from __future__ import annotations

from collections.abc import Iterator

from aesweep.data.image_data import ImageData
from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.artifacts import Files
from aesweep.training.checkpoints.state_file import FOLDER
from aesweep.training.engine.precision import configure_torch
from aesweep.training.pack_pool import Packs


def fit(spec: TrialSpec, images: ImageData, files: Files = FOLDER) -> Iterator[TrialRow]:
    """Trains a trial and yields the rows of its epochs: `TrialRow` says what they hold.

    A trial of which some epochs are recorded goes on from the newest whole state of its members, else from the start;
    epochs that are trained again give the same rows again.

    Args:
        spec: what to train.
        images: its data set.
        files: where the states and the checkpoint go that the trial names.
    """
    configure_torch(num_threads=1, precision=spec.precision)
    packs = Packs()
    packed = packs.join(spec, images, files)
    while not packed.done:
        for _, row in packs.train_epoch():
            if isinstance(row, Exception):
                raise row
            yield row
            packed.taken(row.epoch)

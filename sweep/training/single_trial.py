"""Training of one trial, alone in its process, from its first epoch to its last.

The module is pure torch: it can be used in a notebook, and Ray Tune trials without a trainer run it.
"""

from __future__ import annotations

from collections.abc import Iterator

from aesweep.data.image_data import ImageData
from aesweep.search.row_buffer import INTERVAL_S, RowBuffer
from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.artifacts import Files
from aesweep.training.checkpoints.state_file import FOLDER
from aesweep.training.engine.precision import configure_torch
from aesweep.training.pack_pool import Packs


def fit(spec: TrialSpec, images: ImageData, files: Files = FOLDER) -> Iterator[TrialRow]:
    """Trains a trial and yields a row after each epoch.

    A trial of which some epochs are recorded resumes from the newest undamaged state of its members, else from the
    start; epochs that are trained again give the same rows again.

    Args:
        spec: the trial to train.
        images: the trial's data set.
        files: storage for the trial's states and its checkpoint.
    """
    for rows in fit_in_bundles(spec, images, files, interval_s=0.0):
        yield from rows


def fit_in_bundles(
    spec: TrialSpec, images: ImageData, files: Files = FOLDER, interval_s: float = INTERVAL_S
) -> Iterator[list[TrialRow]]:
    """Trains a trial as `fit` does and yields its rows in bundles, see `RowBuffer`.

    A bundle counts as recorded once the next one is asked for. The last rows before an exception are yielded before it
    is raised. The clock is looked at after each epoch, so a row may wait as long as the epoch after it takes.
    """
    configure_torch(num_threads=1, precision=spec.precision)
    packs, buffer = Packs(), RowBuffer(interval_s)
    packed = packs.join(spec, images, files)
    while not packed.done:
        ((_, row),) = packs.train_epoch()
        failed = isinstance(row, Exception)
        if not failed:
            buffer.add(row)
        if buffer.is_due or (failed and buffer.due_in_s() is not None):
            yield buffer.send()
            buffer.confirm()
            packed.taken(buffer.recorded)
        if failed:
            raise row

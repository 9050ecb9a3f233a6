"""Pictures of test images: which winner they show, and the grids that are drawn from them."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import math
import zipfile
from typing import Any

import numpy as np

from aesweep.process.wording import plural
from aesweep.report.figures.pictures import denoising_grid, reconstruction_grid
from aesweep.report.figures.style import Drawing
from aesweep.report.rows.names import axis_value, cell_name, file_name
from aesweep.report.rows.types import Cell, Run
from aesweep.storage.event import cell_key
from aesweep.storage.events import Pictures
from aesweep.storage.run_folder import RunFolder

PICTURE_NAMES = {
    "reconstruction": {"original", "winner", "pca"},
    "denoising": {"original", "noisy", "linear_mmse", "denoised"},
    "codes": {"lines"},
}


def pictures(run: Run, folder: RunFolder, dataset: str, purpose: str, stage: str | None = None) -> list[Drawing]:
    """Returns the picture grids of one purpose, of one stage or of all; grids without a valid file are left out."""
    found = []
    for event in run.pictures:
        wanted = event.dataset == dataset and event.purpose == purpose and stage in (None, event.stage)
        arrays = picture_arrays(folder, event) if wanted else None
        if arrays is None:
            continue
        name = file_name(dataset, event.stage, "pictures")
        shown = pictured(run, event)
        if purpose == "reconstruction":
            latent_dim = event.latent_dim
            known = event.pca_latent_dim or min(latent_dim, _most_components(run.datasets[dataset]))
            whose = f"{event.stage}{shown[0].whose(others=True)}" if shown[0].cell else _unnamed(run, event)
            found.append(reconstruction_grid(name, dataset, whose, arrays, latent_dim, known))
            continue
        for index, (picture, variance) in enumerate(zip(shown, event.noise_variances, strict=True)):
            cell = [axis_value(axis, value) for axis, value in picture.cell or () if axis != "noise_variance"]
            whose = picture.whose(others=bool(cell))
            network = f"the retrained winner of {event.stage}{whose}" if whose else ""
            file = file_name(name, axis_value("noise_variance", variance), *cell)
            found.append(denoising_grid(file, dataset, arrays, index, variance, network))
    return found


@dataclasses.dataclass(frozen=True)
class Pictured:
    """Whose pictures are shown: the cell of a winner, and for how many epochs it was retrained; None if unknown."""

    cell: Cell | None
    epochs: int | None

    def whose(self, others: bool) -> str:
        """Returns what follows the stage's name in a sentence; the cell is named only if there are `others`."""
        cell = f" at {cell_name(self.cell)}" if self.cell and others else ""
        return cell + (f" after {plural(self.epochs, 'epoch')}" if self.epochs else "")


def pictured(run: Run, event: Pictures) -> list[Pictured]:
    """Returns whose pictures a `pictures` event is about, in its order.

    Journals of older runs do not record it. Their denoisers were sorted by noise variance, then by cell, which
    identifies them if all of the stage's denoisers were retrained.
    """
    variances = event.noise_variances or [None]
    cells = [cell_key(cell) for cell in event.cells or ()]
    stage = run.stages.get(event.stage)
    if not cells and stage is not None and event.purpose == "denoising":
        winners = [winner for winner in stage.cells(event.dataset).values() if winner is not None]
        winners = [winner for winner in winners if winner.configuration.noise_variance > 0]
        winners.sort(key=lambda winner: winner.configuration.noise_variance)
        if [winner.configuration.noise_variance for winner in winners] == variances:
            cells = [winner.cell for winner in winners]
    known = itertools.zip_longest(variances, cells, event.epochs or ())
    return [Pictured(cell, epochs) for _, cell, epochs in itertools.islice(known, len(variances))]


def _unnamed(run: Run, event: Pictures) -> str:
    """Names a stage whose pictures do not record which winner they show; of several winners it may not be the best."""
    stage, dataset = run.stages.get(event.stage), event.dataset
    mine = {
        trial
        for retraining in run.retrainings
        for name, _, trial in retraining.serves
        if name == event.stage and retraining.trial.dataset == dataset
    }
    return f"one cell of {event.stage}" if stage and len(mine) > 1 else event.stage


def _most_components(facts: dict[str, Any]) -> int:
    """Returns the number of components of PCA when it is fitted on all training and validation images."""
    return min(facts["num_training_images"] + facts["num_validation_images"], math.prod(facts["shape"]))


def picture_arrays(folder: RunFolder, event: Pictures) -> dict[str, np.ndarray] | None:
    """Returns the arrays of a `pictures` event; None if the file is missing, not what was recorded, or not arrays.

    The hash does not prove the file safe: a run's folder may come from someone else, including its journal.
    """
    path = folder.resolve(event.file)
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != event.sha256:
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, KeyError, AttributeError, TypeError, zipfile.BadZipFile):
        return None
    is_whole = PICTURE_NAMES[event.purpose] <= arrays.keys()
    return arrays if is_whole and all(getattr(a, "dtype", None) == np.float32 for a in arrays.values()) else None

"""`load_run` and what it returns: a run's frames, figures, winners and models, from its folder."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aesweep.process.errors import EX_DATAERR, AesweepError
from aesweep.report.rows.reader import read_run
from aesweep.results.axes import Axis, axes_of
from aesweep.results.columns import description
from aesweep.results.figures import Figures
from aesweep.results.frames import FRAMES
from aesweep.results.summary import summary_html, summary_lines
from aesweep.results.winner import Winner, winners
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RETRAINING, RunState

if TYPE_CHECKING:
    from aesweep.results.image_autoencoder import ImageAutoencoder


class NotInRunError(AesweepError, LookupError):
    """A trial, a winner, pictures or a model that a run does not have."""

    exit_code = EX_DATAERR


def load_run(path: Path | str) -> LoadedRun:
    """Returns what a run has recorded so far; the run may be under way.

    Args:
        path: the run's folder. Nothing in it is changed.

    Raises:
        RunFolderError: the folder is no run.
        JournalError: the journal is damaged.
    """
    return LoadedRun(RunFolder.open(Path(path).expanduser()))


class LoadedRun:
    """A run as its journal was when it was loaded.

    Each frame is made once, when it is first asked for; `describe` tells what its columns hold.

    Attributes:
        folder: the run's folder.
        name: the folder's name.
        record: the typed rows from which the report is made.
        state: the journal's events, and what follows from them.
    """

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.name = folder.root.resolve().name
        self.state = RunState.read(folder.journal)
        self.record = read_run(self.state)

    def reload(self) -> LoadedRun:
        """Returns the run as it is now."""
        return LoadedRun(self.folder)

    @property
    def status(self) -> str:
        """completed, interrupted, failed; unfinished or open while it goes on (or was killed); empty."""
        return self.record.status

    @property
    def study(self) -> dict[str, Any]:
        """The study, with every default filled in."""
        return self.record.study

    def axes(self, stage: str) -> dict[str, Axis]:
        """Returns what a stage searched: its axes by name."""
        return axes_of(self.study, stage)

    @property
    def identity(self) -> str:
        """Hexadecimal digits that tell this run from all others, also from one of the same study and name."""
        start = self.state.start
        known = [start.study_hash, start.time, start.command] if start else []
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]

    def frame(self, name: str) -> pd.DataFrame:
        """Returns a frame by its name, one of `FRAMES`."""
        return getattr(self, name)

    @functools.cached_property
    def trials(self) -> pd.DataFrame:
        """A line per trial of the search."""
        return FRAMES["trials"](self.state, self.record)

    @functools.cached_property
    def rows(self) -> pd.DataFrame:
        """A line per epoch of each trial and retraining."""
        return FRAMES["rows"](self.state, self.record)

    @functools.cached_property
    def decisions(self) -> pd.DataFrame:
        """A line per decision of ASHA."""
        return FRAMES["decisions"](self.state, self.record)

    @functools.cached_property
    def cells(self) -> pd.DataFrame:
        """A line per cell of each stage's table, with its winner and the baselines."""
        return FRAMES["cells"](self.state, self.record)

    @functools.cached_property
    def winners(self) -> pd.DataFrame:
        """The lines of `cells` that have a winner which the study asks for."""
        return FRAMES["winners"](self.state, self.record)

    @functools.cached_property
    def retrainings(self) -> pd.DataFrame:
        """A line per retraining, that is per winner, seed and budget."""
        return FRAMES["retrainings"](self.state, self.record)

    @functools.cached_property
    def baselines(self) -> pd.DataFrame:
        """A line per baseline and the images on which it was judged."""
        return FRAMES["baselines"](self.state, self.record)

    @functools.cached_property
    def codes(self) -> pd.DataFrame:
        """A line per kind of codes: how well labels can be told from them."""
        return FRAMES["codes"](self.state, self.record)

    @functools.cached_property
    def account(self) -> pd.DataFrame:
        """A line per stage and data set: what it cost, and how its trials ended."""
        return FRAMES["account"](self.state, self.record)

    @functools.cached_property
    def failures(self) -> pd.DataFrame:
        """A line per failure, also of those that were survived."""
        return FRAMES["failures"](self.state, self.record)

    @functools.cached_property
    def audit(self) -> pd.DataFrame:
        """A line per stopped trial that was trained to its end out of competition."""
        return FRAMES["audit"](self.state, self.record)

    def describe(self, name: str) -> pd.DataFrame:
        """Returns what the columns of the frame of that name hold: type, unit and meaning."""
        return description(self.frame(name))

    def curves(self, metric: str = "validation_mse", **fields: Any) -> pd.DataFrame:
        """Returns learning curves: a line per epoch, a column per trial.

        Args:
            metric: a column of `rows`.
            fields: columns of `rows` and the values, or lists of values, to which curves are restricted.
        """
        known = self.rows[self.rows[metric].notna()]
        for name, wanted in fields.items():
            known = known[known[name].isin(wanted if isinstance(wanted, (list, tuple, set)) else [wanted])]
        return known.pivot(index="epoch", columns="trial", values=metric)

    @functools.cached_property
    def figures(self) -> Figures:
        """The report's figures by name."""
        return Figures(self.state, self.folder)

    def pictures(
        self, stage: str, purpose: str = "reconstruction", dataset: str | None = None
    ) -> dict[str, np.ndarray]:
        """Returns the example images that the run keeps of a stage's retrained winner.

        Args:
            stage: the stage.
            purpose: "reconstruction" (original, winner, pca), "denoising" (original, noisy, linear_mmse, denoised; all
                but the first by noise variance) or "codes" (lines, and where there are any positions, labels, samples).
            dataset: the data set; None where the run has one.

        Returns:
            Name to array, float32 with pixels in [0, 1]; images are [N, C, H, W].

        Raises:
            NotInRunError: the run has no such pictures, or their file is missing or damaged.
        """
        from aesweep.report.sections.example_images import picture_arrays

        dataset = dataset or self._only_dataset()
        for event in self.record.pictures:
            if (event.stage, event.purpose, event.dataset) == (stage, purpose, dataset):
                arrays = picture_arrays(self.folder, event)
                if arrays is None:
                    raise NotInRunError(f"{self.folder.root / event.file} is missing or not what was written")
                return arrays
        known = sorted({f"{event.stage}/{event.purpose}/{event.dataset}" for event in self.record.pictures})
        raise NotInRunError(
            f"{self.folder.root}: no pictures {stage}/{purpose}/{dataset}: known are {', '.join(known) or 'none'}"
        )

    def winner(self, stage: str, dataset: str | None = None, **cell: Any) -> Winner:
        """Returns the winner of a stage, or of one of its cells.

        Args:
            stage: the stage.
            dataset: the data set; None where the run has one.
            cell: axes of the stage's table and their values; of the cells that have them, the best winner is returned,
                so that without any it is the stage's winner.

        Raises:
            NotInRunError: there is no such winner, or not yet.
        """
        dataset = dataset or self._only_dataset()
        wanted = {name: _plain(value) for name, value in cell.items()}
        for winner in winners(self.record, self.model):
            mine = {name: _plain(value) for name, value in winner.cell.items()}
            if (winner.stage, winner.dataset) == (stage, dataset) and wanted.items() <= mine.items():
                return winner
        place = ", ".join([stage, dataset, *(f"{name} {value}" for name, value in cell.items())])
        known = ", ".join(self.record.stages)
        raise NotInRunError(
            f"{self.folder.root}: no winner of {place}: stages are {known or 'none yet'}, `run.cells` has their cells"
        )

    def model(self, trial: str | Winner) -> ImageAutoencoder:
        """Returns a trained model, in evaluation mode, which maps images [N, C, H, W] in [0, 1] to images.

        Args:
            trial: name of a trial of the search that won its cell, or of a retraining; or a winner, of which the model
                of its first retraining is returned, or that of the search where it was not retrained.

        Raises:
            NotInRunError: the run has no such trial, or kept no model of it.
            CheckpointError: the file is missing or damaged.
        """
        if isinstance(trial, Winner):
            return trial.model()
        known = self.state.trials.get(trial)
        if known is None:
            raise NotInRunError(f"{self.folder.root}: no trial {trial!r}: `run.trials` and `run.retrainings` have all")
        # The model of a trial that is beaten in its cell is removed.
        kept = {winner.trial for winner in winners(self.record, self.model)} | self.state.of(RETRAINING).keys()
        if known.checkpoint is None or trial not in kept:
            raise NotInRunError(
                f"{self.folder.root}: no model of {trial} is kept: expected the winner of a cell, or a retraining"
            )
        from aesweep.results.image_autoencoder import read_image_autoencoder

        return read_image_autoencoder(self.folder.resolve(known.checkpoint["file"]), known.checkpoint["sha256"])

    def _only_dataset(self) -> str:
        if len(self.record.datasets) != 1:
            known = ", ".join(self.record.datasets) or "none yet"
            raise NotInRunError(f"{self.folder.root}: expected a data set: known are {known}")
        return next(iter(self.record.datasets))

    def __repr__(self) -> str:
        return "\n".join(summary_lines(self.name, self.record))

    def _repr_html_(self) -> str:
        return summary_html(self.name, self.record, FRAMES)


def _plain(value: Any) -> Any:
    """Returns a value of a cell as it is compared: lists of widths as the tuples that cells hold."""
    return tuple(value) if isinstance(value, list) else value

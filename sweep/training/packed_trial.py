"""A trial in a pack: its members there, a row for each epoch that they train, and the states that it can go on from.

Who steps the pack, and who else is in it, is not known here: alone in a worker process (`fit`) or beside others on a
trainer's device, a trial gives the same rows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from aesweep.data.image_data import ImageData
from aesweep.models.metrics import mean_psnr_db, mse, psnr_db, ssim
from aesweep.search.trial_row import ErrorsOnTest, TrialRow
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.artifacts import Files
from aesweep.training.checkpoints.model_file import checkpoint_content
from aesweep.training.checkpoints.state_file import FOLDER, is_due, newest_members, write_members
from aesweep.training.engine.member import MemberState
from aesweep.training.pack import EpochResult, Pack
from aesweep.training.trial_images import evaluation_input, prepare, to_float, unit_noise


@dataclasses.dataclass(frozen=True)
class Judgement:
    """How far a trial's members are from the images that judge them, after an epoch.

    Attributes:
        training: for each seed, the MSE of each image of the training probe.
        validation: the same of the validation images; None where there are none.
        seconds: that it took, its share where members of several trials were judged at once.
    """

    training: list[np.ndarray]
    validation: list[np.ndarray] | None
    seconds: float


class PackedTrial:
    """A trial under training.

    A trial of which some epochs are recorded goes on from the newest whole state of its members, else from the start.

    Args:
        spec: what to train.
        images: its data set.
        pack: with the trial's training images; takes in a member for each of the trial's seeds.
        files: where the states and the checkpoint go that the trial names.

    Attributes:
        spec: the same.
        pack: the same.
        keys: its members in the pack.
        prepared: its images.
        epoch: epochs done.
        done: whether its last row is out.
    """

    def __init__(self, spec: TrialSpec, images: ImageData, pack: Pack, files: Files = FOLDER):
        self.spec = spec
        self.pack = pack
        self.keys = [f"{spec.trial}/{seed}" for seed in spec.seeds]
        self.done = False
        self.prepared = prepare(images, spec)
        self._images = images
        self._files = files
        self._begin = newest_members(spec, images.sha256, files)
        self.epoch = self._begin.epoch
        self._kept: tuple[int, dict[int, MemberState]] | None = None
        self._kept_at = time.monotonic()
        added = []
        try:
            for key, seed in zip(self.keys, spec.seeds, strict=True):
                state = self._begin.states.get(seed)
                pack.add(key, spec.configuration, seed=seed, epochs=spec.epochs, state=state)
                added.append(key)
        except BaseException:
            for key in added:
                pack.remove(key)
            raise

    def leave(self) -> None:
        """Takes its members out of the pack, if they are in it."""
        for key in set(self.keys) & set(self.pack.keys()):
            self.pack.remove(key)

    def row(self, results: dict[str, EpochResult], judgement: Judgement) -> TrialRow:
        """The row of an epoch that the pack has just trained; the trial is `done` once its last row is out.

        Args:
            results: the pack's, by key; those of this trial's members are looked at.
            judgement: of this trial, from `judge`.
        """
        started = time.perf_counter()
        self.epoch += 1
        row = self._measured([results[key] for key in self.keys], judgement)
        self.done = row.diverged or self.epoch == self.spec.epochs
        if self.epoch == self.spec.epochs and not row.diverged:
            row = self._finished(row)
        if self.spec.recorded and self.epoch == self._begin.epoch + 1:
            row = dataclasses.replace(row, continued_from=self._begin.epoch, rejected=self._begin.rejected)
        self._keep_state()
        held_seconds = row.seconds + judgement.seconds + time.perf_counter() - started
        return dataclasses.replace(row, held_seconds=held_seconds)

    def _measured(self, results: list[EpochResult], judgement: Judgement) -> TrialRow:
        """What the epoch's training and its judgement say."""
        row = TrialRow(
            epoch=self.epoch,
            loss=_mean(result.loss for result in results),
            learning_rate=results[0].learning_rate,
            seconds=sum(result.seconds for result in results),
            training_mse=_mean(_mse_and_psnr_db(errors)[0] for errors in judgement.training),
            diverged=any(result.diverged for result in results),
        )
        if judgement.validation is not None:
            errors = [_mse_and_psnr_db(found) for found in judgement.validation]
            row = dataclasses.replace(
                row,
                validation_mse=_mean(mse for mse, _ in errors),
                validation_psnr_db=_mean(psnr_db for _, psnr_db in errors),
                per_seed=[mse for mse, _ in errors],
            )
        judged = [value for value in (row.loss, row.training_mse, row.validation_mse) if value is not None]
        return dataclasses.replace(row, diverged=row.diverged or not all(map(math.isfinite, judged)))

    def _finished(self, row: TrialRow) -> TrialRow:
        """The last row with the trained model, and with a retraining's errors on the test set."""
        if self.spec.purpose == "retraining":
            test = self._images.test
            errors = self._test_errors(to_float(test.reshape(len(test), -1)), test.shape[1:])
            return dataclasses.replace(row, test=errors, checkpoint=self._checkpoint())
        if self.spec.checkpoint:
            # A search goes on without it, also where the disk is full.
            with contextlib.suppress(OSError):
                return dataclasses.replace(row, checkpoint=self._checkpoint())
        return row

    def _keep_state(self) -> None:
        """Takes a state from which a killed training goes on, where one is due; `taken` writes it."""
        is_wanted = is_due(self.spec, self.epoch, time.monotonic() - self._kept_at)
        if is_wanted and not self.done and self._kept is None:
            states = {seed: self.pack.export(key) for key, seed in zip(self.keys, self.spec.seeds, strict=True)}
            self._kept, self._kept_at = (self.epoch, states), time.monotonic()

    def taken(self, epoch: int) -> None:
        """Hears that the rows up to an epoch are recorded and the trial goes on: no state gets ahead of the record."""
        if self._kept is not None and self._kept[0] <= epoch:
            # A full disk costs a run that is killed later some epochs; it shall not cost this trial.
            with contextlib.suppress(OSError):
                write_members(self.spec, self._images.sha256, *self._kept, self._files)
            self._kept = None

    def _test_errors(self, clean: np.ndarray, shape: tuple[int, int, int]) -> ErrorsOnTest:
        """Of the first seed's model."""
        variance = self.spec.configuration.noise_variance
        shown = evaluation_input(clean, variance, self.spec.split_seed, "test")
        outputs = self.pack.reconstruct(self.keys[0], shown).cpu().numpy()
        if variance:
            outputs = outputs.clip(0, 1)
        if not np.isfinite(outputs).all():
            return ErrorsOnTest(math.nan, math.nan)
        return ErrorsOnTest(mse(outputs, clean), psnr_db(outputs, clean), ssim(outputs, clean, shape))

    def _checkpoint(self) -> dict[str, Any]:
        content = checkpoint_content(
            self.pack.export(self.keys[0]),
            self.spec.configuration,
            dataset=self.spec.dataset,
            image_shape=self._images.test.shape[1:],
            seed=self.spec.seeds[0],
        )
        self._files.write(self.spec.checkpoint, content)
        digest = hashlib.sha256(content).hexdigest()
        return {"file": self.spec.checkpoint, "sha256": digest, "num_bytes": len(content)}


def judge(packed_trials: list[PackedTrial]) -> dict[PackedTrial, Judgement]:
    """Judges trials of one pack by their images, as many members at a time as its device wants.

    Args:
        packed_trials: trials of one pack and data set.
    """
    started = time.perf_counter()
    found: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for split, images, alike in _judging_sets(packed_trials):
        keys = {key for packed in alike for key in packed.keys}
        noise = None
        if any(packed.spec.configuration.noise_variance for packed in alike):
            noise = unit_noise(images.shape, packed_trials[0].spec.split_seed, split)
        found[split, id(images)] = packed_trials[0].pack.per_image_mse(keys, images, noise)
    seconds = (time.perf_counter() - started) / len(packed_trials)

    def of(packed: PackedTrial) -> Judgement:
        probe, validation = packed.prepared.training_probe, packed.prepared.validation
        return Judgement(
            [found["training", id(probe)][key] for key in packed.keys],
            None if validation is None else [found["validation", id(validation)][key] for key in packed.keys],
            seconds,
        )

    return {packed: of(packed) for packed in packed_trials}


def _judging_sets(packed_trials: list[PackedTrial]) -> list[tuple[str, np.ndarray, list[PackedTrial]]]:
    """Each set of images that judges, its split and the trials that it judges: nearly always the same for all."""
    found: dict[tuple[str, int], tuple[str, np.ndarray, list[PackedTrial]]] = {}
    for packed in packed_trials:
        sets = {"training": packed.prepared.training_probe, "validation": packed.prepared.validation}
        for split, images in sets.items():
            if images is not None:
                found.setdefault((split, id(images)), (split, images, []))[2].append(packed)
    return list(found.values())


def _mse_and_psnr_db(mse_of_images: np.ndarray) -> tuple[float, float]:
    """Not a number where any image's error is not finite."""
    if not np.isfinite(mse_of_images).all():
        return math.nan, math.nan
    return float(mse_of_images.mean()), mean_psnr_db(mse_of_images)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))

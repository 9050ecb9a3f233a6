"""A trial in a pack: its members, a row for each epoch that they are trained, and the states to resume it from.

The module does not depend on what trains the pack or on the pack's other trials: alone in a worker process (`fit`) or
beside others on a trainer's device, a trial gives the same rows.
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
    """Evaluation of a trial's members after an epoch.

    Attributes:
        training: for each seed, the MSE of each image of the training probe, float64 [n].
        validation: for each seed, the MSE of each validation image; None where there are no validation images.
        seconds: time that the evaluation took; the trial's share where several trials were evaluated at once.
    """

    training: list[np.ndarray]
    validation: list[np.ndarray] | None
    seconds: float


class PackedTrial:
    """A trial under training.

    A trial of which some epochs are recorded resumes from the newest undamaged state of its members; where there is
    none, and where nothing is recorded, training begins at the start.

    Args:
        spec: the trial to train.
        images: the trial's data set.
        pack: a pack with the trial's training images, to which a member is added for each of the trial's seeds.
        files: storage for the trial's states and its checkpoint.

    Attributes:
        spec: the trial to train.
        pack: the pack that the members train in.
        keys: names of the trial's members in the pack, in the order of its seeds.
        prepared: the trial's training and evaluation images.
        epoch: how many epochs have been trained.
        done: whether the last row has been made.
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
        """Removes the trial's members from the pack, if they are in it."""
        for key in set(self.keys) & set(self.pack.keys()):
            self.pack.remove(key)

    def row(self, results: dict[str, EpochResult], judgement: Judgement) -> TrialRow:
        """Returns the row of the epoch that the pack has just trained, and sets `done` with the last row.

        Args:
            results: results of the pack's epoch, by name of the member; only those of this trial's members are used.
            judgement: evaluation of this trial, from `judge`.
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
        keeps_state = self._kept is not None and self._kept[0] == self.epoch
        is_awaited = self.done or keeps_state or self.epoch in self.spec.rungs
        return dataclasses.replace(row, held_seconds=held_seconds, is_awaited=is_awaited)

    def _measured(self, results: list[EpochResult], judgement: Judgement) -> TrialRow:
        """Returns a row with the epoch's training results and errors."""
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
                rate_nats=self._rate_nats(self.keys, self.prepared.validation, "validation"),
            )
        judged = [value for value in (row.loss, row.training_mse, row.validation_mse) if value is not None]
        return dataclasses.replace(row, diverged=row.diverged or not all(map(math.isfinite, judged)))

    def _finished(self, row: TrialRow) -> TrialRow:
        """Writes the checkpoint, and returns the last row with it and, for a retraining, the errors on the test set."""
        if self.spec.purpose == "retraining":
            test = self._images.test
            errors = self._test_errors(to_float(test.reshape(len(test), -1)), test.shape[1:])
            return dataclasses.replace(row, test=errors, checkpoint=self._checkpoint())
        if self.spec.checkpoint:
            # A search does not need the checkpoint, and continues without it where, for example, the disk is full.
            with contextlib.suppress(OSError):
                return dataclasses.replace(row, checkpoint=self._checkpoint())
        return row

    def _keep_state(self) -> None:
        """Copies the members' states where one is due; `taken` writes them, for a killed training to resume from."""
        is_wanted = is_due(self.spec, self.epoch, time.monotonic() - self._kept_at)
        if is_wanted and not self.done and self._kept is None:
            states = {seed: self.pack.export(key) for key, seed in zip(self.keys, self.spec.seeds, strict=True)}
            self._kept, self._kept_at = (self.epoch, states), time.monotonic()

    def taken(self, epoch: int) -> None:
        """Writes the state that `row` has copied, once its epoch is recorded, so that no state is ahead of the journal.

        Args:
            epoch: the epoch up to which rows are recorded; the trial continues after it.
        """
        if self._kept is not None and self._kept[0] <= epoch:
            # Without the state, a run that is killed later loses some epochs; a full disk must not fail this trial.
            with contextlib.suppress(OSError):
                write_members(self.spec, self._images.sha256, *self._kept, self._files)
            self._kept = None

    def _test_errors(self, clean: np.ndarray, shape: tuple[int, int, int]) -> ErrorsOnTest:
        """Returns the errors of the first seed's model on the test set.

        Args:
            clean: test images, float32 [N, D] in [0, 1].
            shape: shape of an image, (C, H, W).
        """
        variance = self.spec.configuration.noise_variance
        shown = evaluation_input(clean, variance, self.spec.split_seed, "test")
        outputs = self.pack.reconstruct(self.keys[0], shown).cpu().numpy()
        if variance:
            outputs = outputs.clip(0, 1)
        if not np.isfinite(outputs).all():
            return ErrorsOnTest(math.nan, math.nan)
        errors = mse(outputs, clean), psnr_db(outputs, clean), ssim(outputs, clean, shape)
        return ErrorsOnTest(*errors, self._rate_nats(self.keys[:1], clean, "test"))

    def _rate_nats(self, keys: list[str], clean: np.ndarray, split: str) -> float | None:
        """Returns the mean divergence of some members' codes from standard normal ones; None for plain codes."""
        configuration = self.spec.configuration
        if configuration.code != "variational":
            return None
        shown = evaluation_input(clean, configuration.noise_variance, self.spec.split_seed, split)
        return _mean(self.pack.divergence(key, shown).double().mean().item() for key in keys)

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
    """Evaluates trials of one pack on their images, with as many members at a time as suits the device.

    Args:
        packed_trials: trials of one pack and data set.

    Returns:
        The evaluation of each trial.
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
    """Returns each set of evaluation images with its split and its trials; nearly always all trials share the sets."""
    found: dict[tuple[str, int], tuple[str, np.ndarray, list[PackedTrial]]] = {}
    for packed in packed_trials:
        sets = {"training": packed.prepared.training_probe, "validation": packed.prepared.validation}
        for split, images in sets.items():
            if images is not None:
                found.setdefault((split, id(images)), (split, images, []))[2].append(packed)
    return list(found.values())


def _mse_and_psnr_db(mse_of_images: np.ndarray) -> tuple[float, float]:
    """Returns the mean MSE and the mean PSNR in dB of images; NaN where any image's error is not finite."""
    if not np.isfinite(mse_of_images).all():
        return math.nan, math.nan
    return float(mse_of_images.mean()), mean_psnr_db(mse_of_images)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))

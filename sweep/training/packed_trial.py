"""A job in a pack: its members there, a row for each epoch that they train, and the states that it can go on from.

Who steps the pack, and who else is in it, is not known here: alone in a worker process (`fit`) or beside others on a
trainer's device, a job gives the same rows.
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
from aesweep.search.trial_spec import Job
from aesweep.storage.artifacts import Files
from aesweep.training.checkpoints.model_file import checkpoint_content
from aesweep.training.checkpoints.state_file import FOLDER, is_due, newest_members, write_members
from aesweep.training.engine.member import MemberState
from aesweep.training.pack import EpochResult, Pack
from aesweep.training.trial_images import evaluation_input, prepare, to_float, unit_noise


@dataclasses.dataclass(frozen=True)
class Judgement:
    """How far a job's members are from the images that judge them, after an epoch.

    Attributes:
        training: for each seed, the MSE of each image of the training probe.
        validation: the same of the validation images; None where there are none.
        seconds: that it took, its share where members of several jobs were judged at once.
    """

    training: list[np.ndarray]
    validation: list[np.ndarray] | None
    seconds: float


class Trainee:
    """A job under training.

    A job of which some epochs are recorded goes on from the newest whole state of its members, else from the start.

    Args:
        job: what to train.
        images: its data set.
        pack: with the job's training images; takes in a member for each of the job's seeds.
        files: where the states and the checkpoint go that the job names.

    Attributes:
        job: the same.
        pack: the same.
        keys: its members in the pack.
        prepared: its images.
        epoch: epochs done.
        done: whether its last row is out.
    """

    def __init__(self, job: Job, images: ImageData, pack: Pack, files: Files = FOLDER):
        self.job = job
        self.pack = pack
        self.keys = [f"{job.trial}/{seed}" for seed in job.seeds]
        self.done = False
        self.prepared = prepare(images, job)
        self._images = images
        self._files = files
        self._begin = newest_members(job, images.sha256, files)
        self.epoch = self._begin.epoch
        self._kept: tuple[int, dict[int, MemberState]] | None = None
        self._kept_at = time.monotonic()
        added = []
        try:
            for key, seed in zip(self.keys, job.seeds, strict=True):
                state = self._begin.states.get(seed)
                pack.add(key, job.configuration, seed=seed, epochs=job.epochs, state=state)
                added.append(key)
        except BaseException:
            for key in added:
                pack.remove(key)
            raise

    def leave(self) -> None:
        """Takes its members out of the pack, if they are in it."""
        for key in set(self.keys) & set(self.pack.keys()):
            self.pack.remove(key)

    def row(self, results: dict[str, EpochResult], judgement: Judgement) -> dict[str, Any]:
        """The row of an epoch that the pack has just trained.

        Args:
            results: the pack's, by key; those of this job's members are looked at.
            judgement: of this job, from `judge`.

        Returns:
            epoch (1-based), loss (the objective), training_mse, learning_rate, seconds (of training), held_seconds
            (of the device, with evaluation), diverged; in a search also validation_mse, validation_psnr_db and per_seed
            (the validation MSE of each seed). With several seeds, numbers are means over them, and times sums. The last
            row holds `checkpoint` (file, sha256, num_bytes) of the first seed's model, and of a retraining also `test`
            (mse, psnr_db, ssim); the first row of a job that goes on `continued` (epoch, rejected). For a denoiser
            (noise variance above 0) every error is that of the denoised image against the clean one.
        """
        started = time.perf_counter()
        job, mine = self.job, [results[key] for key in self.keys]
        self.epoch += 1
        row: dict[str, Any] = {
            "epoch": self.epoch,
            "loss": _mean(result.loss for result in mine),
            "learning_rate": mine[0].learning_rate,
            "diverged": any(result.diverged for result in mine),
            "seconds": sum(result.seconds for result in mine),
        }
        row["training_mse"] = _mean(_mse_and_psnr_db(found)[0] for found in judgement.training)
        if judgement.validation is not None:
            errors = [_mse_and_psnr_db(found) for found in judgement.validation]
            row["validation_mse"] = _mean(mse for mse, _ in errors)
            row["validation_psnr_db"] = _mean(psnr_db for _, psnr_db in errors)
            row["per_seed"] = [mse for mse, _ in errors]
        judged = (row[name] for name in ("loss", "training_mse", "validation_mse") if name in row)
        row["diverged"] = row["diverged"] or not all(math.isfinite(value) for value in judged)
        self.done = row["diverged"] or self.epoch == job.epochs
        if self.epoch == job.epochs and not row["diverged"]:
            if job.purpose == "retraining":
                test = self._images.test
                row["test"] = self._test_errors(to_float(test.reshape(len(test), -1)), test.shape[1:])
                row["checkpoint"] = self._checkpoint()
            elif job.checkpoint:
                # A search goes on without it, also where the disk is full.
                with contextlib.suppress(OSError):
                    row["checkpoint"] = self._checkpoint()
        if job.recorded and self.epoch == self._begin.epoch + 1:
            row["continued"] = {"epoch": self._begin.epoch, "rejected": self._begin.rejected}
        due = is_due(job, self.epoch, time.monotonic() - self._kept_at)
        if due and not self.done and self._kept is None:
            states = {seed: self.pack.export(key) for key, seed in zip(self.keys, job.seeds, strict=True)}
            self._kept, self._kept_at = (self.epoch, states), time.monotonic()
        row["held_seconds"] = row["seconds"] + judgement.seconds + time.perf_counter() - started
        return row

    def taken(self, epoch: int) -> None:
        """Hears that the rows up to an epoch are recorded and the trial goes on: no state gets ahead of the record."""
        if self._kept is not None and self._kept[0] <= epoch:
            # A full disk costs a run that is killed later some epochs; it shall not cost this trial.
            with contextlib.suppress(OSError):
                write_members(self.job, self._images.sha256, *self._kept, self._files)
            self._kept = None

    def _test_errors(self, clean: np.ndarray, shape: tuple[int, int, int]) -> dict[str, float]:
        """Of the first seed's model."""
        variance = self.job.configuration.noise_variance
        shown = evaluation_input(clean, variance, self.job.split_seed, "test")
        outputs = self.pack.reconstruct(self.keys[0], shown).cpu().numpy()
        if variance:
            outputs = outputs.clip(0, 1)
        if not np.isfinite(outputs).all():
            return {"mse": math.nan, "psnr_db": math.nan}
        return {"mse": mse(outputs, clean), "psnr_db": psnr_db(outputs, clean), "ssim": ssim(outputs, clean, shape)}

    def _checkpoint(self) -> dict[str, Any]:
        content = checkpoint_content(
            self.pack.export(self.keys[0]),
            self.job.configuration,
            dataset=self.job.dataset,
            image_shape=self._images.test.shape[1:],
            seed=self.job.seeds[0],
        )
        self._files.write(self.job.checkpoint, content)
        digest = hashlib.sha256(content).hexdigest()
        return {"file": self.job.checkpoint, "sha256": digest, "num_bytes": len(content)}


def judge(trainees: list[Trainee]) -> dict[Trainee, Judgement]:
    """Judges jobs of one pack by their images, as many members at a time as its device wants.

    Args:
        trainees: jobs of one pack and data set.
    """
    started = time.perf_counter()
    found: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for split, images, alike in _judging_sets(trainees):
        keys = {key for trainee in alike for key in trainee.keys}
        noise = None
        if any(trainee.job.configuration.noise_variance for trainee in alike):
            noise = unit_noise(images.shape, trainees[0].job.split_seed, split)
        found[split, id(images)] = trainees[0].pack.per_image_mse(keys, images, noise)
    seconds = (time.perf_counter() - started) / len(trainees)

    def of(trainee: Trainee) -> Judgement:
        probe, validation = trainee.prepared.training_probe, trainee.prepared.validation
        return Judgement(
            [found["training", id(probe)][key] for key in trainee.keys],
            None if validation is None else [found["validation", id(validation)][key] for key in trainee.keys],
            seconds,
        )

    return {trainee: of(trainee) for trainee in trainees}


def _judging_sets(trainees: list[Trainee]) -> list[tuple[str, np.ndarray, list[Trainee]]]:
    """Each set of images that judges, its split and the jobs that it judges: nearly always the same for all."""
    found: dict[tuple[str, int], tuple[str, np.ndarray, list[Trainee]]] = {}
    for trainee in trainees:
        sets = {"training": trainee.prepared.training_probe, "validation": trainee.prepared.validation}
        for split, images in sets.items():
            if images is not None:
                found.setdefault((split, id(images)), (split, images, []))[2].append(trainee)
    return list(found.values())


def _mse_and_psnr_db(mse_of_images: np.ndarray) -> tuple[float, float]:
    """Not a number where any image's error is not finite."""
    if not np.isfinite(mse_of_images).all():
        return math.nan, math.nan
    return float(mse_of_images.mean()), mean_psnr_db(mse_of_images)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))

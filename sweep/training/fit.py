"""A job from its first epoch to its last: a pack with a member per seed, and a row after each epoch.

Pure torch: usable in a notebook, and what a Ray Tune trial runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from data.datasets import ImageData
from models.metrics import mse, psnr_db, ssim
from sweep.files import Files
from sweep.job import Job
from sweep.training.checkpoint import checkpoint_content
from sweep.training.images import evaluation_input, prepare, to_float
from sweep.training.member_file import FOLDER, is_due, newest_members, write_members
from sweep.training.pack import Pack
from sweep.training.precision import configure_torch


def fit(job: Job, images: ImageData, files: Files = FOLDER) -> Iterator[dict[str, Any]]:
    """Trains a job and yields a row after each epoch.

    A row holds epoch (1-based), loss (the objective), training_mse, learning_rate, seconds, diverged; in a search also
    validation_mse, validation_psnr_db and per_seed (the validation MSE of each seed). With several seeds, numbers are
    means over them. The last row of a retraining holds `test` (mse, psnr_db, ssim) and `checkpoint` (file, sha256,
    num_bytes). For a denoiser (noise variance above 0) every error is that of the denoised image against the clean one.

    A job of which some epochs are recorded goes on from the newest whole state of its members, else from the start; its
    first row then holds `continued` (epoch, rejected), and epochs that are trained again give the same rows again.

    Args:
        job: what to train.
        images: its data set.
        files: where the states and the checkpoint go that the job names.
    """
    configure_torch(num_threads=1, precision=job.precision)
    prepared = prepare(images, job)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pack = Pack(prepared.training, device=device, precision=job.precision)
    begin = newest_members(job, images.sha256, files)
    for seed in job.seeds:
        state = begin.states.get(seed)
        pack.add(f"{job.trial}/{seed}", job.configuration, seed=seed, epochs=job.epochs, state=state)
    saved_at = time.monotonic()
    for epoch in range(begin.epoch + 1, job.epochs + 1):
        started = time.perf_counter()
        results = pack.train_epoch()
        row: dict[str, Any] = {
            "epoch": epoch,
            "loss": _mean(result.loss for result in results.values()),
            "learning_rate": next(iter(results.values())).learning_rate,
            "diverged": any(result.diverged for result in results.values()),
        }
        row["seconds"] = time.perf_counter() - started
        errors = [_errors(pack, key, prepared.training_probe, job, "training") for key in results]
        row["training_mse"] = _mean(error["mse"] for error in errors)
        if prepared.validation is not None:
            errors = [_errors(pack, key, prepared.validation, job, "validation") for key in results]
            row["validation_mse"] = _mean(error["mse"] for error in errors)
            row["validation_psnr_db"] = _mean(error["psnr_db"] for error in errors)
            row["per_seed"] = [error["mse"] for error in errors]
        judged = (row[name] for name in ("loss", "training_mse", "validation_mse") if name in row)
        row["diverged"] = row["diverged"] or not all(math.isfinite(value) for value in judged)
        if epoch == job.epochs and job.purpose == "retraining" and not row["diverged"]:
            key = f"{job.trial}/{job.seeds[0]}"
            test = to_float(images.test.reshape(len(images.test), -1))
            row["test"] = _errors(pack, key, test, job, "test", shape=images.test.shape[1:])
            row["checkpoint"] = _write_checkpoint(pack, key, job, images, files)
        if job.recorded and epoch == begin.epoch + 1:
            row["continued"] = {"epoch": begin.epoch, "rejected": begin.rejected}
        yield row
        if row["diverged"]:
            return
        # Only now is the row taken, and the trial known to go on: no state is ahead of the record.
        if is_due(job, epoch, time.monotonic() - saved_at):
            # A full disk costs a run that is killed later some epochs; it shall not cost this trial.
            with contextlib.suppress(OSError):
                states = {seed: pack.export(f"{job.trial}/{seed}") for seed in job.seeds}
                write_members(job, images.sha256, epoch, states, files)
            saved_at = time.monotonic()


def _errors(
    pack: Pack, key: str, clean: np.ndarray, job: Job, split: str, shape: tuple[int, ...] | None = None
) -> dict[str, float]:
    shown = evaluation_input(clean, job.configuration.noise_variance, job.split_seed, split)
    outputs = pack.reconstruct(key, shown).cpu().numpy()
    if job.configuration.noise_variance:
        outputs = outputs.clip(0, 1)
    if not np.isfinite(outputs).all():
        return {"mse": math.nan, "psnr_db": math.nan}
    errors = {"mse": mse(outputs, clean), "psnr_db": psnr_db(outputs, clean)}
    if shape is not None:
        errors["ssim"] = ssim(outputs, clean, shape)
    return errors


def _write_checkpoint(pack: Pack, key: str, job: Job, images: ImageData, files: Files) -> dict[str, Any]:
    content = checkpoint_content(
        pack.export(key),
        job.configuration,
        dataset=job.dataset,
        image_shape=images.test.shape[1:],
        seed=job.seeds[0],
    )
    files.write(job.checkpoint, content)
    return {"file": job.checkpoint, "sha256": hashlib.sha256(content).hexdigest(), "num_bytes": len(content)}


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))

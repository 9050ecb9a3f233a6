"""Test images as the retrained winners and the baselines give them back, kept in the run for the report's pictures."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Container, Iterator
from typing import Any

import numpy as np
import torch

from aesweep.data.datasets import ImageData
from aesweep.models.baselines import LinearMmseDenoiser, Pca
from aesweep.retrain import Retraining
from aesweep.run_folder import RunFolder, checkpoint_name, write_whole
from aesweep.training.checkpoint import read_checkpoint
from aesweep.training.images import evaluation_input, to_float


def take_pictures(
    folder: RunFolder,
    images: ImageData,
    done: list[Retraining],
    num_pictures: int,
    skip: Container[str] = (),
) -> Iterator[dict[str, Any]]:
    """Writes the pictures of one data set and yields the fields of a `pictures` event for each file.

    Args:
        folder: the run; checkpoints are read from it.
        images: the data set.
        done: its finished retrainings. The first seed of each winner is pictured.
        num_pictures: how many of the first test images are shown.
        skip: stages whose pictures are there already.
    """
    training = to_float(images.training.reshape(len(images.training), -1))
    every = to_float(images.test.reshape(len(images.test), -1))
    original = every[:num_pictures]
    shape = (len(original), *images.test.shape[1:])
    for stage in dict.fromkeys(winner.stage for retraining in done for winner in retraining.serves):
        if stage in skip:
            continue
        first: dict[str, Retraining] = {}
        for retraining in done:
            for winner in retraining.serves:
                if winner.stage == stage:
                    first.setdefault(winner.trial, retraining)
        denoisers = [r for r in first.values() if r.job.configuration.noise_variance > 0]
        plain = [r for r in first.values() if r.job.configuration.noise_variance == 0]
        if denoisers:
            ordered = sorted(denoisers, key=lambda r: r.job.configuration.noise_variance)
            linear = LinearMmseDenoiser.fit(training)
            rows: dict[str, list[np.ndarray]] = {"noisy": [], "linear_mmse": [], "denoised": []}
            for retraining in ordered:
                variance = retraining.job.configuration.noise_variance
                noisy = evaluation_input(every, variance, retraining.job.split_seed, "test")[:num_pictures]
                rows["noisy"].append(noisy)
                rows["linear_mmse"].append(linear.denoise(noisy, variance))
                rows["denoised"].append(_outputs(folder, retraining, noisy))
            arrays = {name: np.stack(found).reshape(-1, *shape) for name, found in rows.items()}
            variances = [r.job.configuration.noise_variance for r in ordered]
            yield _write(folder, images.name, stage, "denoising", original.reshape(shape), arrays, None, variances)
        elif plain:
            retraining = plain[0]
            latent_dim = retraining.job.configuration.latent_dim
            known = min(latent_dim, *training.shape)
            arrays = {
                "winner": _outputs(folder, retraining, original).reshape(shape),
                "pca": Pca.fit(training, known).reconstruct(original, known).reshape(shape),
            }
            purpose = "reconstruction"
            yield _write(folder, images.name, stage, purpose, original.reshape(shape), arrays, latent_dim, None)


def _outputs(folder: RunFolder, retraining: Retraining, inputs: np.ndarray) -> np.ndarray:
    model, _ = read_checkpoint(folder.checkpoints / checkpoint_name(retraining.job.trial))
    with torch.inference_mode():
        return model(torch.from_numpy(inputs.astype(np.float32))).numpy()


def _write(
    folder: RunFolder,
    dataset: str,
    stage: str,
    purpose: str,
    original: np.ndarray,
    arrays: dict[str, np.ndarray],
    latent_dim: int | None,
    noise_variances: list[float] | None,
) -> dict[str, Any]:
    everything = {"original": original, **arrays}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: a.clip(0, 1).astype(np.float32) for name, a in everything.items()})
    path = folder.pictures / f"{dataset}-{stage}.npz"
    write_whole(path, buffer.getvalue())
    return {
        "dataset": dataset,
        "stage": stage,
        "purpose": purpose,
        "file": f"pictures/{path.name}",
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "latent_dim": latent_dim,
        "noise_variances": noise_variances,
    }

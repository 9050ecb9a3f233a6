"""Baselines that learned models are compared with, on the images that judged the models and on the test set.

For validation images a baseline is fitted on the stage's training subset alone; for test images it is fitted on all
training and validation images, on which a retrained winner is trained too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from aesweep.data.datasets import ImageData
from aesweep.models.baselines import LinearMmseDenoiser, MeanImage, Pca
from aesweep.models.metrics import mse, psnr_db, ssim
from aesweep.search.trial_spec import TrialSpec
from aesweep.study.configuration import Configuration
from aesweep.training.trial_images import evaluation_input, prepare, to_float


def validation_baselines(specs: list[TrialSpec], images: ImageData, stage: str) -> Iterator[dict[str, Any]]:
    """Computes the baselines of a stage on one data set.

    Args:
        specs: the stage's trials on this data set.
        images: the data set.
        stage: the stage's name.

    Yields:
        The fields of a `baseline` event.
    """
    prepared = prepare(images, specs[0])
    configurations, seed = [spec.configuration for spec in specs], specs[0].split_seed
    training, judged = to_float(prepared.training), prepared.validation
    for found in _baselines(training, judged, configurations, seed, "validation", None):
        yield {"dataset": images.name, "split": "validation", "stage": stage, **found}


def test_baselines(
    configurations: Collection[Configuration], split_seed: int, images: ImageData
) -> Iterator[dict[str, Any]]:
    """Computes baselines on the test set, for the latent dimensions and noise variances of configurations.

    Args:
        configurations: the configurations that were searched on this data set, in any stage.
        split_seed: the study's seed.
        images: the data set.

    Yields:
        The fields of a `baseline` event.
    """
    training = to_float(images.training.reshape(len(images.training), -1))
    test = to_float(images.test.reshape(len(images.test), -1))
    for found in _baselines(training, test, configurations, split_seed, "test", images.test.shape[1:]):
        yield {"dataset": images.name, "split": "test", "stage": None, **found}


def _baselines(
    training: np.ndarray,
    judged: np.ndarray,
    configurations: Collection[Configuration],
    split_seed: int,
    split: str,
    shape: tuple[int, ...] | None,
) -> Iterator[dict[str, Any]]:
    def judge(outputs: np.ndarray, method: str, latent_dim: int | None, variance: float | None) -> dict[str, Any]:
        if variance is not None:
            outputs = outputs.clip(0, 1)
        return {
            "method": method,
            "latent_dim": latent_dim,
            "noise_variance": variance,
            "mse": mse(outputs, judged),
            "psnr_db": psnr_db(outputs, judged),
            "ssim": ssim(outputs, judged, shape) if shape and variance is not None else None,
        }

    yield judge(MeanImage.fit(training).reconstruct(judged), "mean_image", None, None)
    most = min(training.shape)
    latent_dims = sorted({found.latent_dim for found in configurations if found.latent_dim <= most})
    if latent_dims:
        pca = Pca.fit(training, max(latent_dims))
        for latent_dim in latent_dims:
            yield judge(pca.reconstruct(judged, latent_dim), "pca", latent_dim, None)
    variances = sorted({found.noise_variance for found in configurations} - {0.0})
    if variances:
        denoiser = LinearMmseDenoiser.fit(training)
        for variance in variances:
            noisy = evaluation_input(judged, variance, split_seed, split)
            yield judge(noisy, "noisy_input", None, variance)
            yield judge(denoiser.denoise(noisy, variance), "linear_mmse", None, variance)

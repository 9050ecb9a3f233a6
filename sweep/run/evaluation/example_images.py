"""Outputs of retrained winners and baselines on test images, which the run keeps for the report's pictures."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Container, Iterator
from typing import Any

import numpy as np
import torch

from aesweep.data.datasets import ImageData
from aesweep.models.baselines import LinearMmseDenoiser, Pca
from aesweep.search.retraining import Retraining
from aesweep.search.winners import Winner, best
from aesweep.storage.atomic_file import write_whole
from aesweep.storage.run_folder import RunFolder, checkpoint_name
from aesweep.study.schema import Study
from aesweep.training.checkpoints.model_file import read_checkpoint
from aesweep.training.engine.precision import inference
from aesweep.training.trial_images import evaluation_input, to_float


def take_pictures(
    folder: RunFolder,
    study: Study,
    images: ImageData,
    done: list[Retraining],
    skip: Container[tuple[str, str]] = (),
) -> Iterator[dict[str, Any]]:
    """Writes the pictures of one data set and yields the fields of a `pictures` event for each file.

    The pictures show the first test images, processed by the first seed of each winner's longest retraining. Of a
    stage's denoisers every one that was retrained is shown, of its plain autoencoders the best one.

    Args:
        folder: the run's folder, from which checkpoints are read.
        study: the study, which gives the stages' metrics and the number of images shown.
        images: the data set.
        done: the finished retrainings on it.
        skip: (stage, purpose) of pictures that exist already.
    """
    training = to_float(images.training.reshape(len(images.training), -1))
    every = to_float(images.test.reshape(len(images.test), -1))
    original = every[: study.report.num_pictures]
    shape = (len(original), *images.test.shape[1:])
    for stage in dict.fromkeys(winner.stage for retraining in done for winner in retraining.serves):
        winners = {w.trial: w for retraining in done for w in retraining.serves if w.stage == stage}.values()
        denoisers = [winner for winner in winners if winner.configuration.noise_variance > 0]
        plain = [winner for winner in winners if winner.configuration.noise_variance == 0]
        if denoisers and (stage, "denoising") not in skip:
            shown = sorted(denoisers, key=lambda winner: winner.configuration.noise_variance)
            linear = LinearMmseDenoiser.fit(training)
            rows: dict[str, list[np.ndarray]] = {"noisy": [], "linear_mmse": [], "denoised": []}
            for retraining in (longest(done, winner) for winner in shown):
                variance = retraining.spec.configuration.noise_variance
                noisy = evaluation_input(every, variance, retraining.spec.split_seed, "test")[: len(original)]
                rows["noisy"].append(noisy)
                rows["linear_mmse"].append(linear.denoise(noisy, variance))
                rows["denoised"].append(_outputs(folder, retraining, noisy))
            arrays = {name: np.stack(found).reshape(-1, *shape) for name, found in rows.items()}
            arrays["original"] = original.reshape(shape)
            yield {
                **write_arrays(folder, images.name, stage, "denoising", _clipped(arrays)),
                "latent_dim": None,
                "noise_variances": [winner.configuration.noise_variance for winner in shown],
                **whose_pictures(done, shown),
            }
        if plain and (stage, "reconstruction") not in skip:
            shown_best = best(study.stages[stage].mode, ((winner, winner.value) for winner in plain))
            latent_dim = shown_best.configuration.latent_dim
            known = min(latent_dim, *training.shape)
            arrays = {
                "original": original.reshape(shape),
                "winner": _outputs(folder, longest(done, shown_best), original).reshape(shape),
                "pca": Pca.fit(training, known).reconstruct(original, known).reshape(shape),
            }
            # The stage's denoisers may have a file too, so this one needs another name.
            part = "+reconstruction" if denoisers else ""
            yield {
                **write_arrays(folder, images.name, stage, "reconstruction", _clipped(arrays), part),
                "latent_dim": latent_dim,
                "noise_variances": None,
                **whose_pictures(done, [shown_best]),
            }


def plain_winners(done: list[Retraining]) -> list[Retraining]:
    """Returns the first seed of the longest retraining of each plain autoencoder among the winners, each once."""
    winners = {winner.trial: winner for retraining in done for winner in retraining.serves}
    plain = [winner for winner in winners.values() if winner.configuration.noise_variance == 0]
    return list({longest(done, winner).spec.trial: longest(done, winner) for winner in plain}.values())


def _clipped(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.clip(0, 1) for name, array in arrays.items()}


def longest(done: list[Retraining], winner: Winner) -> Retraining:
    """Returns the first seed of a winner's longest retraining, for which the report gives numbers.

    It may have been made for another winner with the same configuration.
    """
    mine = [retraining for retraining in done if retraining.spec.configuration == winner.configuration]
    return max(mine, key=lambda retraining: retraining.spec.epochs)


def whose_pictures(done: list[Retraining], shown: list[Winner]) -> dict[str, Any]:
    """Returns what identifies each winner shown: its cell, and the number of epochs of its retraining."""
    return {
        "cells": [winner.cell for winner in shown],
        "epochs": [longest(done, winner).spec.epochs for winner in shown],
    }


def _outputs(folder: RunFolder, retraining: Retraining, inputs: np.ndarray) -> np.ndarray:
    model, _ = read_checkpoint(folder.checkpoints / checkpoint_name(retraining.spec.trial))
    with inference():
        return model(torch.from_numpy(inputs.astype(np.float32))).numpy()


def write_arrays(
    folder: RunFolder, dataset: str, stage: str, purpose: str, arrays: dict[str, np.ndarray], part: str = ""
) -> dict[str, Any]:
    """Writes the arrays of a stage's pictures; returns the fields of the event that tell of the file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: array.astype(np.float32) for name, array in arrays.items()})
    # No name holds a plus, so stage c of data set a-b and stage b-c of data set a get different files.
    joint = "+" if "-" in dataset + stage else "-"
    path = folder.pictures / f"{dataset}{joint}{stage}{part}.npz"
    write_whole(path, buffer.getvalue())
    return {
        "dataset": dataset,
        "stage": stage,
        "purpose": purpose,
        "file": f"pictures/{path.name}",
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }

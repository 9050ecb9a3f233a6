"""Judges the codes of retrained winners by labels, beside pixels and PCA's codes, and takes pictures of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterator
from typing import Any

import numpy as np
import torch

from aesweep.data.image_data import ImageData
from aesweep.models.baselines import Pca
from aesweep.models.codes import code_map, neighbour_accuracy, probe_accuracy
from aesweep.run.evaluation.example_images import longest, whose_pictures, write_arrays
from aesweep.search.retraining import Retraining
from aesweep.search.winners import best
from aesweep.storage.run_folder import RunFolder, checkpoint_name
from aesweep.study.schema import Study
from aesweep.training.checkpoints.model_file import CodeModel, read_model
from aesweep.training.engine.precision import inference
from aesweep.training.trial_images import to_float

# Classifiers are fitted on at most so many training images: enough for their accuracies to settle.
MOST_FITTED = 10_000
CHUNK = 1000
# Lines between pairs of test images, with so many pictures each; test codes on the map; draws from a prior.
NUM_LINES, NUM_STEPS, NUM_MAPPED, NUM_SAMPLES = 4, 10, 1000, 20


# What a coder is called (method, latent dimension, retraining), and what it makes of images [N, D].
Coder = tuple[tuple[str, int | None, str | None], Callable[[np.ndarray], np.ndarray]]


def judge_codes(
    folder: RunFolder, images: ImageData, shown: list[Retraining], known: Container[tuple[str, int | None, str | None]]
) -> Iterator[dict[str, Any]]:
    """Judges the codes of each retrained winner, beside pixels and PCA's codes of the same length.

    Args:
        folder: the run's folder, from which checkpoints are read.
        images: the data set; without labels nothing is judged.
        shown: the retrainings of plain autoencoders whose codes are judged.
        known: (method, latent dimension, retraining) of what is judged already.

    Yields:
        The fields of a `codes` event.
    """
    if images.labels is None or not shown:
        return
    order = np.random.default_rng(shown[0].spec.split_seed).permutation(len(images.training))[:MOST_FITTED]
    fitted = to_float(images.training[order].reshape(len(order), -1))
    judged = to_float(images.test.reshape(len(images.test), -1))
    for key, encode in _coders(folder, images, shown):
        if key in known:
            continue
        codes = encode(fitted), images.labels.training[order], encode(judged), images.labels.test
        yield {
            "dataset": images.name,
            **dict(zip(("method", "latent_dim", "retraining"), key, strict=True)),
            "probe_accuracy": probe_accuracy(*codes),
            "neighbour_accuracy": neighbour_accuracy(*codes),
            "num_fitted": len(fitted),
            "num_judged": len(judged),
        }


def _coders(folder: RunFolder, images: ImageData, shown: list[Retraining]) -> Iterator[Coder]:
    yield ("pixels", None, None), lambda values: values
    training = to_float(images.training.reshape(len(images.training), -1))
    dims = {retraining.spec.configuration.latent_dim for retraining in shown}
    dims = sorted(latent_dim for latent_dim in dims if latent_dim <= min(training.shape))
    if dims:
        pca = Pca.fit(training, max(dims))
        for latent_dim in dims:
            yield ("pca", latent_dim, None), functools.partial(pca.encode, latent_dim=latent_dim)
    for retraining in shown:
        model = read_model(folder.checkpoints / checkpoint_name(retraining.spec.trial))
        key = ("model", retraining.spec.configuration.latent_dim, retraining.spec.trial)
        yield key, functools.partial(encoded, model)


def code_pictures(
    folder: RunFolder, study: Study, images: ImageData, done: list[Retraining], skip: Container[tuple[str, str]] = ()
) -> Iterator[dict[str, Any]]:
    """Writes the pictures of the codes of each stage's best plain winner; see `take_pictures`.

    Yields:
        The fields of a `pictures` event.
    """
    test = to_float(images.test.reshape(len(images.test), -1))
    for stage in dict.fromkeys(winner.stage for retraining in done for winner in retraining.serves):
        winners = {w.trial: w for retraining in done for w in retraining.serves if w.stage == stage}.values()
        plain = [winner for winner in winners if winner.configuration.noise_variance == 0]
        shown = best(study.stages[stage].mode, ((winner, winner.value) for winner in plain))
        if shown is None or (stage, "codes") in skip:
            continue
        model = read_model(folder.checkpoints / checkpoint_name(longest(done, shown).spec.trial))
        yield {
            **write_arrays(folder, images.name, stage, "codes", code_arrays(model, images, test), "+codes"),
            "latent_dim": shown.configuration.latent_dim,
            "noise_variances": None,
            **whose_pictures(done, [shown]),
        }


def code_arrays(model: CodeModel, images: ImageData, test: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what shows the codes of a model: float32 arrays in [0, 1], but for labels.

    Args:
        model: the model.
        images: the data set.
        test: its test images, float32 [N, D].

    Returns:
        `lines`: decoded codes along lines between the codes of pairs of test images, which stand at both ends,
        [pairs, steps, C, H, W]; where there are labels, `positions` [n, 2] of a map of test codes, and their `labels`
        [n]; of a variational model, `samples` decoded from the standard normal distribution, [n, C, H, W].
    """
    shape = images.test.shape[1:]
    mine = test[: 2 * (min(NUM_LINES, len(test) // 2) or 1)]
    codes = encoded(model, mine)
    starts, ends = codes[0::2], codes[1::2]
    shares = np.linspace(0, 1, NUM_STEPS - 2, dtype=np.float32)[:, None, None]
    along = (starts + shares * (ends - starts)).swapaxes(0, 1) if len(ends) else starts[:, None]
    between = decoded(model, along.reshape(-1, codes.shape[1])).reshape(len(starts), -1, test.shape[1])
    lines = np.concatenate([mine[0::2, None], between, mine[1::2, None]], 1) if len(ends) else between
    found = {"lines": lines.reshape(*lines.shape[:2], *shape)}
    if images.labels is not None:
        shown = slice(NUM_MAPPED)
        found["positions"] = code_map(encoded(model, test[shown]))
        found["labels"] = images.labels.test[shown].astype(np.float32)
    if getattr(model.architecture, "is_variational", False):
        drawn = np.random.default_rng(0).standard_normal((NUM_SAMPLES, codes.shape[1]))
        found["samples"] = decoded(model, drawn).reshape(-1, *shape)
    return {name: array if name == "labels" else array.clip(0, 1) for name, array in found.items()}


def encoded(model: CodeModel, values: np.ndarray) -> np.ndarray:
    """Returns the codes of images [N, D], float32 [N, Z]; of a variational model, their means."""
    with inference():
        parts = torch.from_numpy(values.astype(np.float32)).split(CHUNK)
        return torch.cat([model.encode(part) for part in parts]).numpy()


def decoded(model: CodeModel, codes: np.ndarray) -> np.ndarray:
    """Returns the images of codes [N, Z], float32 [N, D]."""
    with inference():
        return model.decode(torch.from_numpy(codes.astype(np.float32))).numpy()

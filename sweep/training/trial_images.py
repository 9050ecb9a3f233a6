"""The images of a trial: what it trains on, what it is judged by, and the noise under which a denoiser is judged.

Needs no torch: the baselines are judged by the same images.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from aesweep.data.image_data import ImageData
from aesweep.data.noise import fixed_noise
from aesweep.data.splits import num_validation_images, split_training, subset
from aesweep.search.trial_spec import TrialSpec

# Training error is measured on so many images, without dropout and after the epoch, as validation error is.
MAX_TRAINING_PROBE = 2000


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The images of a trial: to train on (uint8 [N, D]) and to judge by (float32 [n, D] in [0, 1])."""

    training: np.ndarray
    training_probe: np.ndarray
    validation: np.ndarray | None


def prepare(images: ImageData, spec: TrialSpec) -> Prepared:
    """Cuts the trial's images out of the data set; the same for every trial of a stage."""
    return _prepare(
        _Identity(images),
        spec.purpose,
        spec.split_seed,
        spec.validation_fraction,
        spec.training_images,
        spec.validation_images,
    )


def count_images(spec: TrialSpec, num_training: int) -> tuple[int, int]:
    """How many images the trial trains on, and how many judge it, both splits together.

    Args:
        spec: the trial.
        num_training: images in the data set's training part.
    """
    trained = num_training
    judging = 0
    if spec.purpose == "search":
        num_validation = num_validation_images(num_training, spec.validation_fraction)
        trained = min(num_training - num_validation, spec.training_images or num_training)
        judging = min(num_validation, spec.validation_images or num_validation)
    return trained, judging + min(MAX_TRAINING_PROBE, trained)


class _Identity:
    """Images as a key of a cache: the same object, or another."""

    def __init__(self, images: ImageData):
        self.images = images

    def __hash__(self) -> int:
        return hash(self.images.sha256)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.images.sha256 == self.images.sha256


@functools.lru_cache(maxsize=4)
def _prepare(
    key: _Identity, purpose: str, seed: int, fraction: float, num_training: int | None, num_validation: int | None
) -> Prepared:
    flat = key.images.training.reshape(len(key.images.training), -1)
    if purpose == "retraining":
        indices, validation = np.arange(len(flat)), None
    else:
        split = split_training(len(flat), num_validation_images(len(flat), fraction), seed)
        indices = subset(split.training, num_training, seed)
        validation = to_float(flat[subset(split.validation, num_validation, seed)])
    training = np.ascontiguousarray(flat[indices])
    return Prepared(training, to_float(training[:MAX_TRAINING_PROBE]), validation)


def to_float(pixels: np.ndarray) -> np.ndarray:
    """uint8 pixels as float32 in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255)


def evaluation_input(clean: np.ndarray, noise_variance: float, seed: int, split: str) -> np.ndarray:
    """What a model is shown when it is judged: the clean images, or the same noise on them every time."""
    if noise_variance == 0:
        return clean
    return clean + fixed_noise(clean.shape, noise_variance, seed, split)


@functools.lru_cache(maxsize=4)
def unit_noise(shape: tuple[int, int], seed: int, split: str) -> np.ndarray:
    """The noise of `evaluation_input` at variance 1, float32 [n, D]: the same object every time."""
    return fixed_noise(shape, 1.0, seed, split)

"""The images that a trial trains on and is evaluated on, and the noise with which a denoiser is evaluated.

The module needs no torch, because the baselines are evaluated on the same images.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from aesweep.data.image_data import ImageData
from aesweep.data.noise import fixed_noise
from aesweep.data.splits import num_validation_images, split_training, subset
from aesweep.search.trial_spec import TrialSpec

# The training error is measured on at most so many images, without dropout and after the epoch, like the validation
# error.
MAX_TRAINING_PROBE = 2000


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The images of a trial.

    Attributes:
        training: images to train on, uint8 [N, D].
        training_probe: first images of `training`, on which the training error is measured, float32 [n, D] in [0, 1].
        validation: validation images, float32 [n, D] in [0, 1]; None for a retraining.
    """

    training: np.ndarray
    training_probe: np.ndarray
    validation: np.ndarray | None


def prepare(images: ImageData, spec: TrialSpec) -> Prepared:
    """Returns the trial's part of a data set, which is the same for every trial of a stage."""
    return _prepare(
        _Identity(images),
        spec.purpose,
        spec.split_seed,
        spec.validation_fraction,
        spec.training_images,
        spec.validation_images,
    )


def count_images(spec: TrialSpec, num_training: int) -> tuple[int, int]:
    """Returns how many images a trial trains on, and how many it is evaluated on, both splits together.

    Args:
        spec: the trial.
        num_training: number of images in the data set's training part.
    """
    trained = num_training
    judging = 0
    if spec.purpose == "search":
        num_validation = num_validation_images(num_training, spec.validation_fraction)
        trained = min(num_training - num_validation, spec.training_images or num_training)
        judging = min(num_validation, spec.validation_images or num_validation)
    return trained, judging + min(MAX_TRAINING_PROBE, trained)


class _Identity:
    """Images as the key of a cache; keys are equal where the images have the same SHA-256."""

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
    """Returns uint8 pixels as float32 in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255)


def evaluation_input(clean: np.ndarray, noise_variance: float, seed: int, split: str) -> np.ndarray:
    """Returns a model's inputs for evaluation: the clean images, or these with noise that is the same at every call.

    Args:
        clean: clean images, float32 [n, D] in [0, 1].
        noise_variance: variance of the Gaussian noise; 0 for none.
        seed: the study's seed.
        split: name of the set of images; each set has a noise of its own.
    """
    if noise_variance == 0:
        return clean
    return clean + fixed_noise(clean.shape, noise_variance, seed, split)


@functools.lru_cache(maxsize=4)
def unit_noise(shape: tuple[int, int], seed: int, split: str) -> np.ndarray:
    """Returns the noise of `evaluation_input` at variance 1, float32 [n, D].

    The array is cached, because `Judge` copies an array object to the device only once.
    """
    return fixed_noise(shape, 1.0, seed, split)

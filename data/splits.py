"""Splits training images into those for training and those for validation: deterministic, disjoint, nested.

Orders are drawn by sorting the raw output of PCG64, whose stream NumPy guarantees from version to version (it does not
guarantee that of `Generator.permutation`), so that a seed means the same images everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aesweep.process.wording import plural

# The split and the subsets of one seed are drawn independently of each other.
_SPLIT, _SUBSET = 1, 2


@dataclass(frozen=True)
class Split:
    """Indices into `ImageData.training`: int64, ascending, disjoint, together all images."""

    training: np.ndarray
    validation: np.ndarray


def num_validation_images(num_images: int, fraction: float) -> int:
    """Returns how many of the training images a fraction cuts off for validation; at least one."""
    return max(1, round(fraction * num_images))


def split_training(num_images: int, num_validation: int, seed: int) -> Split:
    """Cuts a validation set from the training images; with the same seed, a smaller one lies within a larger one.

    Raises:
        ValueError: `num_validation` leaves no image to train on, or is negative.
    """
    if not 0 <= num_validation < num_images:
        raise ValueError(
            f"expected 0 to {num_images - 1} validation images of {plural(num_images, 'training image')}, "
            f"got {num_validation}"
        )
    order = _order(num_images, _SPLIT, seed)
    return Split(training=np.sort(order[num_validation:]), validation=np.sort(order[:num_validation]))


def subset(indices: np.ndarray, size: int | None, seed: int) -> np.ndarray:
    """Draws `size` of the indices; with the same seed, a smaller subset is the beginning of a larger one.

    Args:
        indices: int64 [N], distinct.
        size: how many; None for all.
        seed: the study's seed.

    Returns:
        int64 [size], in the order drawn.

    Raises:
        ValueError: there are fewer than `size` indices, or `size` is less than one.
    """
    if size is not None and not 1 <= size <= len(indices):
        raise ValueError(f"expected a subset of 1 to {plural(len(indices), 'image')}, got {size}")
    return np.asarray(indices, dtype=np.int64)[_order(len(indices), _SUBSET, seed)][:size]


def _order(length: int, purpose: int, seed: int) -> np.ndarray:
    bits = np.random.PCG64(np.random.SeedSequence([purpose, seed])).random_raw(length)
    return np.argsort(bits, kind="stable")

"""The noise that denoisers are judged under: the same for every model, every baseline and every run of a seed."""

from __future__ import annotations

import zlib

import numpy as np


def fixed_noise(shape: tuple[int, ...], variance: float, seed: int, split: str) -> np.ndarray:
    """Gaussian noise for the images of a split.

    Args:
        shape: of the images; image i gets the same noise however many follow it.
        variance: of each pixel's noise, pixels in [0, 1].
        seed: the study's.
        split: "training", "validation" or "test"; each has noise of its own.

    Returns:
        float32 array of that shape. Noise of another variance is the same pattern, scaled.
    """
    generator = np.random.default_rng([seed, zlib.crc32(split.encode())])
    return generator.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(variance))

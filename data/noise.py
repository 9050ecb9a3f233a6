"""The noise under which denoisers are evaluated: the same for every model, every baseline and every run of a seed."""

from __future__ import annotations

import zlib

import numpy as np


def fixed_noise(shape: tuple[int, ...], variance: float, seed: int, split: str) -> np.ndarray:
    """Returns Gaussian noise for the images of a split.

    Args:
        shape: shape of the images; image i gets the same noise however many images follow it.
        variance: variance of each pixel's noise, for pixels in [0, 1].
        seed: the study's seed.
        split: "training", "validation" or "test"; each has different noise.

    Returns:
        float32 array of that shape. Noise of another variance is the same pattern, scaled.
    """
    generator = np.random.default_rng([seed, zlib.crc32(split.encode())])
    return generator.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(variance))

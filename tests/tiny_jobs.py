"""Trials that train in a moment, on the 80 images of 4 x 4 pixels that the fixture `images` holds."""

from __future__ import annotations

import numpy as np

from aesweep.data.image_data import ImageData
from aesweep.search.trial_spec import TrialSpec
from aesweep.study.configuration import Configuration

BASE = Configuration(hidden_layers=(12, 8), latent_dim=3, batch_size=16)


def tiny_images() -> ImageData:
    pixels = np.random.default_rng(5).integers(0, 256, (80, 1, 4, 4), dtype=np.uint8)
    return ImageData.of("tiny", pixels[:60], pixels[60:])


def tiny_job(number: int = 0, configuration: Configuration = BASE, **fields) -> TrialSpec:
    values = {
        "trial": f"stage-tiny-{number:04d}",
        "purpose": "search",
        "dataset": "tiny",
        "configuration": configuration,
        "seeds": (number,),
        "epochs": 3,
        "split_seed": 1,
        "validation_fraction": 0.2,
        "training_images": None,
        "validation_images": None,
        "precision": "fp32",
    }
    return TrialSpec(**{**values, **fields})

"""The study that is disturbed: real trainings, each of them deterministic, of which an epoch takes milliseconds."""

from __future__ import annotations

import functools
import json
from typing import Any

from aesweep.configuration import Configuration
from aesweep.data.datasets import load_dataset
from aesweep.job import Job
from aesweep.training.fit import fit

STUDY: dict[str, Any] = {
    "name": "toy",
    "seed": 3,
    "datasets": ["digits"],
    "stages": {
        "architecture": {
            "space": {
                "hidden_layers": [8],
                "latent_dim": {"grid": [2, 4]},
                "learning_rate": {"log_uniform": [0.001, 0.01]},
                "batch_size": 64,
            },
            "table": {"rows": "latent_dim"},
            "samples": 6,
            "epochs": 18,
            "asha": {"grace_period": 1, "reduction_factor": 3},
            "training_images": 256,
            "validation_images": 64,
        },
        "denoising": {
            "from": "architecture",
            "space": {"noise_variance": {"grid": [0.05, 0.2]}, "learning_rate": {"log_uniform": [0.001, 0.01]}},
            "table": {"rows": "noise_variance"},
            "samples": 3,
            "epochs": 6,
            "seeds": 2,
            "training_images": 256,
            "validation_images": 64,
            "metric": "validation_psnr_db",
            "retraining": {"of": "cells", "seeds": 1},
        },
    },
    "retraining": {"epochs": 30, "seeds": 2},
    "report": {"num_pictures": 2},
}

# Of a run whose trials go to trainers; each trains on its own node.
TRAINERS = {"trainers": 2, "gpus_per_trainer": 0, "trials_per_trainer": 2}

MEASURED = ("loss", "training_mse", "validation_mse", "validation_psnr_db", "learning_rate", "per_seed")


def undisturbed_rows(created: dict[str, Any]) -> list[dict[str, Any]]:
    """What each epoch of a trial has to give, whoever ran it: trained here, in one go.

    Args:
        created: the `trial_created` or `retraining_created` event.
    """
    stage = STUDY["stages"].get(created.get("stage"), {})
    seeds = created["seeds"] if "seeds" in created else [created["seed"]]
    return _rows(
        json.dumps(created["configuration"], sort_keys=True),
        tuple(seeds),
        created["epochs"],
        stage.get("training_images"),
        stage.get("validation_images"),
        "stage" in created,
    )


@functools.lru_cache(maxsize=10_000)
def _rows(
    configuration: str,
    seeds: tuple[int, ...],
    epochs: int,
    training_images: int | None,
    validation_images: int | None,
    is_search: bool,
) -> list[dict[str, Any]]:
    job = Job(
        trial="undisturbed",
        purpose="search",
        dataset="digits",
        configuration=Configuration.from_dict(json.loads(configuration)),
        seeds=seeds,
        epochs=epochs,
        split_seed=STUDY["seed"],
        validation_fraction=0.1,
        training_images=training_images,
        validation_images=validation_images,
        precision="fp32",
    )
    if not is_search:
        # Another purpose, without its last epoch's test and checkpoint: all rows but the last are compared.
        rows = []
        job = Job(**{**job.__dict__, "purpose": "retraining", "checkpoint": "/nowhere"})
        for row in fit(job, _images()):
            rows.append(row)
            if len(rows) == epochs - 1:
                break
    else:
        rows = list(fit(job, _images()))
    return [{name: row[name] for name in ("epoch", *MEASURED) if name in row} for row in rows]


@functools.lru_cache(maxsize=1)
def _images():
    return load_dataset("digits")

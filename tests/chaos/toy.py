"""A study that is disturbed: real trainings, each of them deterministic, of which an epoch takes milliseconds."""

from __future__ import annotations

from typing import Any

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

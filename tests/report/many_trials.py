"""A run of many trials, each trained to its end: what a page has to hold at most."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from synthetic import LATENT_DIMS, WIDTHS, Synthetic

from aesweep.study.configuration import Configuration


def many_trials(num_trials: int, num_epochs: int = 27) -> list[dict[str, Any]]:
    """Returns the events of a finished run on one data set, without retrainings."""
    synthetic = Synthetic(reference=False)
    synthetic._start()
    start = synthetic.events[0]
    start["datasets"] = {"mnist": start["datasets"]["mnist"]}
    events, random = [start], np.random.default_rng(3)
    cells = list(itertools.product(WIDTHS, LATENT_DIMS))
    events.append(
        {
            **{"kind": "stage_started", "stage": "architecture", "num_trials": num_trials, "num_cells": len(cells)},
            **{"rungs": [3, 9], "epochs": num_epochs, "training_images": None, "validation_images": None},
            **{"metric": "validation_mse", "mode": "min"},
            "table": {"rows": "latent_dim", "columns": "hidden_layers"},
        }
    )
    names = [f"architecture-mnist-{number:04d}" for number in range(num_trials)]
    levels = random.uniform(0.002, 0.05, num_trials)
    for number, name in enumerate(names):
        widths, latent_dim = cells[number % len(cells)]
        configuration = Configuration(widths, latent_dim, learning_rate=float(random.uniform(1e-4, 1e-2)))
        events.append(
            {
                **{"kind": "trial_created", "stage": "architecture", "dataset": "mnist", "trial": name},
                "cell": {"latent_dim": latent_dim, "hidden_layers": list(widths)},
                **{"configuration": configuration.as_dict(), "seeds": [1], "epochs": num_epochs},
            }
        )
    # Rows of trials that train side by side come in turn.
    for epoch in range(1, num_epochs + 1):
        noise = random.uniform(0.9, 1.1, (num_trials, 3))
        for name, level, (a, b, c) in zip(names, levels, noise.tolist(), strict=True):
            value = float(level) * (1 + 8 / epoch)
            events.append(
                {
                    **{"kind": "row", "trial": name, "epoch": epoch, "loss": a * value, "training_mse": b * value},
                    **{"validation_mse": c * value, "validation_psnr_db": float(-10 * np.log10(c * value))},
                    **{"per_seed": [c * value], "learning_rate": 1e-3, "seconds": a},
                }
            )
    ends = {"kind": "trial_ended", "status": "completed", "epochs": num_epochs, "reason": None, "seconds": 27.0}
    events += [{**ends, "trial": name} for name in names]
    events += [{"kind": "stage_ended", "stage": "architecture", "seconds": 60.0}]
    events += [{"kind": "run_ended", "status": "completed", "seconds": 61.0}]
    return [{"seq": number, "time": 1.8e9 + number, **event} for number, event in enumerate(events)]

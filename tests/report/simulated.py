"""Simulated runs of one study: the events of a journal, whose chances are known.

An MSE is its cell's, times e to the sum of what chance decides: the split of the run (`SPLIT`, shared by all cells, of
a validation MSE alone), the draw of the trial's learning rate, and the training of each seed (`TRAINING`). The seed of
the study decides the first two. The worst trial of a cell is stopped early, as by ASHA.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from aesweep.report.rows.reader import read_run
from aesweep.report.rows.types import Run
from aesweep.storage.run_state import RunState
from aesweep.study.configuration import Configuration

SPLIT, TRAINING = 0.05, 0.02
LATENT_DIMS, WIDTHS = (4, 8, 16), ((64,), (32, 16))

Event = dict[str, Any]


def simulated_run(
    chance: int,
    study_seed: int = 1,
    *,
    seeds: int = 1,
    draws: float = 0.03,
    shift: float = 0.0,
    retrained: int = 5,
    of: str = "cells",
    together: bool = False,
) -> Run:
    """Returns the rows of a finished run.

    Args:
        chance: decides the training of each seed.
        study_seed: decides split and draws.
        seeds: number of seeds of each trial.
        draws: how strongly the drawn learning rate matters; with 0 there is nothing to draw.
        shift: added to ln MSE everywhere.
        retrained: number of seeds of each retraining; 0 for none.
        of: which winners are retrained, "cells" or "winner".
        together: whether the trainings of one seed go up and down together in all cells.
    """
    return read_run(RunState(simulated_events(chance, study_seed, seeds, draws, shift, retrained, of, together)))


def simulated_events(
    chance: int,
    study_seed: int,
    seeds: int,
    draws: float,
    shift: float,
    retrained: int,
    of: str,
    together: bool = False,
) -> list[Event]:
    drawing, noise = np.random.default_rng([study_seed, 7]), np.random.default_rng([chance, study_seed, 8])
    split = SPLIT * drawing.standard_normal()
    common = noise.standard_normal((2, max(seeds, retrained)))

    def trained(part: int, num: int) -> np.ndarray:
        return TRAINING * (common[part, :num] if together else noise.standard_normal(num))

    space = {
        "hidden_layers": {"grid": [list(widths) for widths in WIDTHS]},
        "latent_dim": {"grid": list(LATENT_DIMS)},
        "learning_rate": {"log_uniform": [1e-3, 4e-3]} if draws else {"value": 2e-3},
    }
    stage = {
        "space": space,
        "samples": 3,
        "seeds": seeds,
        "epochs": 9,
        "retraining": {"of": of if retrained else "none"},
    }
    events: list[Event] = [
        {
            "kind": "run_started",
            "study": {
                "name": "simulated", "seed": study_seed, "datasets": [{"name": "digits"}], "validation_fraction": 0.1,
                "stages": {"architecture": stage}, "retraining": {"epochs": 20, "seeds": retrained},
            },
            "study_hash": "ab" * 32, "command": ["aesweep"], "environment": {"python": "3.12.3", "packages": {}},
            "num_workers": 1, "reference": None, "datasets": {"digits": {"sha256": "cd" * 32, "shape": [1, 8, 8]}},
        },
        {
            "kind": "stage_started", "stage": "architecture", "num_trials": 18, "num_cells": 6, "rungs": [3],
            "epochs": 9, "training_images": None, "validation_images": None, "metric": "validation_mse", "mode": "min",
            "table": {"rows": "latent_dim", "columns": "hidden_layers"},
        },
    ]  # fmt: skip
    winners = []
    for latent_dim in LATENT_DIMS:
        for widths in WIDTHS:
            base = math.log(0.1 / latent_dim) + 0.1 * len(widths) + shift
            trials = []
            for sample in range(3):
                u = drawing.standard_normal()
                rate = 2e-3 * math.exp(0.5 * u) if draws else 2e-3
                configuration = Configuration(widths, latent_dim, learning_rate=rate)
                level = base + draws * u**2
                values = np.exp(level + split + trained(0, seeds))
                name = f"architecture-digits-{latent_dim}-{len(widths)}-{sample}"
                trials.append((float(values.mean()), name, configuration, level, [float(v) for v in values]))
                events.append(
                    {
                        "kind": "trial_created", "stage": "architecture", "dataset": "digits", "trial": name,
                        "cell": {"latent_dim": latent_dim, "hidden_layers": list(widths)},
                        "configuration": configuration.as_dict(),
                        "seeds": [study_seed + k for k in range(seeds)], "epochs": 9,
                    }
                )  # fmt: skip
            worst = max(trials)
            for value, name, *_, values in trials:
                status, epochs = ("stopped", 3) if name == worst[1] else ("completed", 9)
                events += [_row(name, epochs, value, values), _ended(name, status, epochs)]
            winners.append((min(trials), {"latent_dim": latent_dim, "hidden_layers": list(widths)}))
    events.append({"kind": "stage_ended", "stage": "architecture", "seconds": 1.0})
    chosen = [min(winners, key=lambda winner: winner[0])] if of == "winner" else winners
    for (_, name, configuration, level, _), cell in chosen if retrained else []:
        for k, change in enumerate(trained(1, retrained)):
            seed = study_seed + k
            trial = f"retraining-digits-{configuration.digest()}-20-{seed}"
            test = math.exp(level + 0.1 + change)
            events += [
                {
                    "kind": "retraining_created", "trial": trial, "dataset": "digits", "seed": seed, "epochs": 20,
                    "configuration": configuration.as_dict(), "num_images": 100,
                    "serves": [{"stage": "architecture", "cell": cell, "trial": name}],
                },
                _row(trial, 20, None, None),
                {
                    "kind": "retrained", "trial": trial, "training_mse": 0.8 * test, "test_mse": test,
                    "test_psnr_db": -10 * math.log10(test), "test_ssim": None, "epochs": 20, "seconds": 1.0,
                    "checkpoint": {"file": f"checkpoints/{trial}.safetensors", "sha256": "ef" * 32, "num_bytes": 1},
                },
                _ended(trial, "completed", 20),
            ]  # fmt: skip
    events.append({"kind": "run_ended", "status": "completed", "seconds": 3.0})
    return [{"seq": seq, "time": 1e9 + seq, **event} for seq, event in enumerate(events)]


def _row(trial: str, epoch: int, value: float | None, values: list[float] | None) -> Event:
    row = {
        "kind": "row", "trial": trial, "epoch": epoch, "loss": 0.1, "training_mse": 0.01, "learning_rate": 1e-3,
        "seconds": 0.1,
    }  # fmt: skip
    if value is not None:
        row |= {"validation_mse": value, "validation_psnr_db": -10 * math.log10(value), "per_seed": values}
    return row


def _ended(trial: str, status: str, epochs: int) -> Event:
    return {"kind": "trial_ended", "trial": trial, "status": status, "epochs": epochs, "reason": None, "seconds": 1.0}

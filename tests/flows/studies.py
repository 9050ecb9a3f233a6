"""The studies that real flows and faults are tried on: small ones, each with something that others lack, and jobs/.

Trainings are real and deterministic; an epoch takes milliseconds.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from tests.chaos.toy import STUDY as TOY

ROOT = Path(__file__).resolve().parents[2]
FACES = {"name": "faces", "path": "./faces"}  # relative: a study is written where its images are
NUM_FACES = {"train": 80, "test": 12}


def _search(**changes: Any) -> dict[str, Any]:
    """A stage's search for an architecture."""
    space = {
        "hidden_layers": [8],
        "latent_dim": {"grid": [2, 4]},
        "learning_rate": {"log_uniform": [0.001, 0.01]},
        "batch_size": 32,
    }
    stage = {
        "space": space,
        "table": {"rows": "latent_dim"},
        "samples": 4,
        "epochs": 12,
        "asha": {"grace_period": 1, "reduction_factor": 3},
    }
    return {**stage, **changes}


SUBSET = {"training_images": 256, "validation_images": 64}
AUDITED = {"grace_period": 2, "reduction_factor": 2, "brackets": 2, "audit": 0.5}
NOISY = {"grace_period": 1, "reduction_factor": 3, "significance": 0.1}
CONDITIONS = {
    "from": "architecture",
    "space": {
        "regularizer": {"grid": ["none", "l1", "l1_l2", "dropout"]},
        "l1": {"log_uniform": [1.0e-8, 1.0e-5], "when": {"regularizer": ["l1", "l1_l2"]}},
        "l2": {"log_uniform": [1.0e-8, 1.0e-5], "when": {"regularizer": "l1_l2"}},
        "dropout": {"uniform": [0.01, 0.2], "when": {"regularizer": "dropout"}},
    },
    "table": {"rows": "regularizer"},
    "samples": 2,
    "epochs": 5,
    "seeds": 2,
    "asha": {"grace_period": 2, "reduction_factor": 2},
}
DENOISING = {
    "from": "architecture",
    "space": {"noise_variance": {"grid": [0.05, 0.2]}, "learning_rate": {"log_uniform": [0.001, 0.01]}},
    "table": {"rows": "noise_variance"},
    "samples": 2,
    "epochs": 6,
    "metric": "validation_psnr_db",
    "retraining": {"of": "cells", "seeds": 1},
}
FAMILIES = {
    "family": {"grid": ["dense", "convolutional"]},
    "hidden_layers": {"grid": [[12], []], "when": {"family": "dense"}},
    "channels": {"grid": [[4, 6]], "when": {"family": "convolutional"}},
    "latent_dim": {"grid": [2, 4]},
    "learning_rate": {"log_uniform": [0.001, 0.01]},
    "batch_size": 32,
}
VARIATIONAL = {
    "from": "architecture",
    "space": {
        "code": {"grid": ["plain", "variational"]},
        "beta": {"log_uniform": [0.001, 0.1], "when": {"code": "variational"}},
        "likelihood": {"grid": ["gaussian", "bernoulli"]},
    },
    "table": {"rows": "code", "columns": "likelihood"},
    "samples": 2,
    "epochs": 6,
}
BASE = {"seed": 3, "retraining": {"epochs": 20, "seeds": 2}, "report": {"num_pictures": 2}}
TRAINERS = {"trainers": 2, "gpus_per_trainer": 0, "trials_per_trainer": 2}

SMALL: dict[str, dict[str, Any]] = {
    "toy": TOY,
    "faces": {**BASE, "datasets": [FACES], "stages": {"architecture": _search()}},
    "reference": {
        **BASE,
        "datasets": ["digits"],
        "stages": {"architecture": _search(**SUBSET)},
        "report": {"reference": "numbers.yaml", "num_pictures": 2},
    },
    "two_datasets": {
        **BASE,
        "datasets": ["digits", FACES],
        "stages": {"architecture": _search(samples=3), "denoising": DENOISING},
    },
    "conditions": {
        **BASE,
        "datasets": ["digits"],
        "stages": {
            "architecture": _search(seeds=3, samples=3, asha=NOISY, **SUBSET),
            "regularization": {**CONDITIONS, **SUBSET},
        },
    },
    "chained": {
        **BASE,
        "datasets": ["digits"],
        "stages": {
            "architecture": _search(samples=3, **SUBSET),
            "regularization": {**CONDITIONS, "seeds": 1, **SUBSET},
            "denoising": {**DENOISING, "from": "regularization", **SUBSET},
        },
    },
    "cells": {
        **BASE,
        "datasets": ["digits"],
        "stages": {
            "architecture": _search(
                space={**_search()["space"], "hidden_layers": {"grid": [[8], [12, 8]]}},
                table={"rows": "latent_dim", "columns": "hidden_layers"},
                retraining={"of": "cells", "epochs": 15},
                samples=4,
                asha=AUDITED,
                **SUBSET,
            ),
            "denoising": {**DENOISING, "retraining": {"of": "none"}, **SUBSET},
        },
    },
    "models": {
        **BASE,
        "datasets": ["digits"],
        "stages": {
            "architecture": _search(
                space=FAMILIES,
                table={"rows": "latent_dim", "columns": "model"},
                samples=2,
                epochs=9,
                **SUBSET,
            ),
            "variational": {**VARIATIONAL, **SUBSET},
            "denoising": {**DENOISING, **SUBSET},
        },
    },
    "learning": {
        **BASE,
        "datasets": ["digits"],
        "stages": {
            "architecture": _search(sampler="tpe", samples=6, asha=AUDITED, **SUBSET),
            "regularization": {
                **CONDITIONS,
                "seeds": 1,
                "samples": 3,
                "sampler": {"name": "tpe", "shared": False},
                "asha": "none",
                **SUBSET,
            },
        },
    },
    "trainers": {**TOY, "resources": TRAINERS},
}
NUMBERS = {
    "source": "numbers made up for tests",
    "architecture_validation_mse": {"latent_dims": [2, 4], "digits": {"1_hidden_layer": [0.07, 0.06]}},
    "claims_made": ["more latent dimensions give a lower error"],
}


@dataclasses.dataclass(frozen=True)
class TriedStudy:
    """A study as a user has it: a file, and what to say beside it.

    Attributes:
        name: of the flow's row in the table, and of the run.
        file: the study file; None where `write` makes it.
        overrides: texts for `--set`.
    """

    name: str
    file: Path | None = None
    overrides: tuple[str, ...] = ()

    @property
    def is_ordered(self) -> bool:
        """Whether one worker makes the run the same every time; trainers train several trials at once."""
        return not SMALL.get(self.name, {}).get("resources")

    @property
    def lacks(self) -> str | None:
        """Why it cannot be run here; None where it can."""
        datasets = yaml.safe_load(self.file.read_text())["datasets"] if self.file else []
        needed = [name for name in datasets if name in ("mnist", "fashion_mnist")]
        if needed and not os.environ.get("AESWEEP_DATA_DIR"):
            return f"NOT RUN: {' and '.join(needed)} needed, and AESWEEP_DATA_DIR is not set"
        return None

    def write(self, folder: Path) -> Path:
        """The study's file, with what it names beside it."""
        if self.file is not None:
            return self.file
        values = {**SMALL[self.name], "name": self.name}
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.yaml"
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        if FACES in values["datasets"]:
            write_faces(folder / "faces")
        if "reference" in values.get("report", {}):
            (folder / "numbers.yaml").write_text(yaml.safe_dump(NUMBERS))
        return path

    def arguments(self, folder: Path) -> list[str]:
        """What follows `aesweep run`."""
        return [str(self.write(folder)), *(part for text in self.overrides for part in ("--set", text))]


def write_faces(folder: Path, side: int = 8) -> None:
    """Grey images of so many pixels a side: a disk somewhere, which few dimensions can tell of."""
    draws = np.random.default_rng(7)
    rows, columns = np.mgrid[:side, :side] * 8 / side
    for part, number in NUM_FACES.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        for k in range(number):
            row, column = draws.uniform(2, 6, 2)
            pixels = 255 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / draws.uniform(2, 6))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / part / f"{k:03d}.png")


def shrunk(values: dict[str, Any]) -> tuple[str, ...]:
    """`--set` texts that leave a study its form and take its work: narrow layers, few draws, cells and epochs."""
    found = ["retraining.epochs=2", "retraining.seeds=1", "report.num_pictures=2"]
    for name, stage in values["stages"].items():
        at = f"stages.{name}"
        found += [f"{at}.samples=2", f"{at}.epochs=4", f"{at}.asha.grace_period=1"]
        found += [f"{at}.training_images=400", f"{at}.validation_images=100"]
        for key, most in (("epochs", 1), ("seeds", 1)):
            if key in stage.get("retraining", {}):
                found.append(f"{at}.retraining.{key}={most}")
        layers = stage["space"].get("hidden_layers")
        if isinstance(layers, dict) and "grid" in layers:
            narrow = [[max(4, width // 16) for width in widths] for widths in layers["grid"]]
            found.append(f"{at}.space.hidden_layers.grid={narrow}")
        channels = stage["space"].get("channels")
        if isinstance(channels, dict) and "grid" in channels:
            narrow = [[max(2, count // 8) for count in counts] for counts in channels["grid"]]
            found.append(f"{at}.space.channels.grid={narrow}")
        dims = stage["space"].get("latent_dim")
        if isinstance(dims, dict) and "grid" in dims:
            found.append(f"{at}.space.latent_dim.grid={[dims['grid'][0], dims['grid'][-1]]}")
        if "from" not in stage:
            found.append(f"{at}.space.batch_size=256")
    if any("channels" in stage["space"] for stage in values["stages"].values()):
        # A convolutional model takes seconds to pass over 60,000 images, and several are retrained on each data set.
        found.append(f"datasets={values['datasets'][:1]}")
    return tuple(found)


@functools.cache
def jobs() -> dict[str, TriedStudy]:
    """Every study file of jobs/, also one that was not there when this was written."""
    found = {}
    for path in sorted((ROOT / "jobs").glob("*.yaml")):
        values = _plain(path)
        if isinstance(values, dict) and "stages" in values and "datasets" in values:
            found[path.stem] = TriedStudy(path.stem, path, shrunk(values))
    return found


def _plain(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except yaml.YAMLError:
        return None  # a template with tags of its own is no study


def all_studies() -> dict[str, TriedStudy]:
    small = {name: TriedStudy(name) for name in SMALL}
    if both := jobs().keys() & small.keys():
        raise ValueError(f"studies of jobs/ and of this file must have names of their own; got {sorted(both)} twice")
    return {**jobs(), **small}

"""A made-up run as its journal would hold it: two data sets, three stages, and everything that can go wrong.

Numbers are smooth functions of the configuration with a little noise; ASHA's decisions are those of `Asha`.
What is known to be in it:
- mnist, architecture: 512-128 at latent dimension 30 has no finished trial (diverged, diverged, failed);
- fashion_mnist, architecture: 512-384-256-128 does not beat PCA at 30, 50, 100, nor the mean image at 15;
- regularization: without a regularizer validation error is 30 % above training error; dropout is better on mnist and
  nothing is on fashion_mnist;
- denoising: the network beats the linear denoiser everywhere on mnist, not at 0.04 on fashion_mnist.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from aesweep.search.schedulers.asha import Asha
from aesweep.storage.journal import Journal
from aesweep.storage.run_folder import RunFolder
from aesweep.study.configuration import Configuration

DATASETS = ("mnist", "fashion_mnist")
LATENT_DIMS = (15, 30, 50, 100)
WIDTHS = ((1024,), (512, 128), (512, 384, 256, 128))
REGULARIZERS = ("none", "l1", "l2", "l1_l2", "dropout", "sparse_code")
VARIANCES = (0.04, 0.25, 0.5)
SPACES = {
    "architecture": {
        "hidden_layers": {"grid": [list(widths) for widths in WIDTHS]},
        "latent_dim": {"grid": list(LATENT_DIMS)},
        "learning_rate": {"log_uniform": [1e-3, 4e-3]},
    },
    "regularization": {
        "regularizer": {"grid": list(REGULARIZERS)},
        "l1": {"log_uniform": [1e-7, 1e-5], "when": {"regularizer": ["l1", "l1_l2"]}},
        "l2": {"log_uniform": [1e-7, 1e-5], "when": {"regularizer": ["l2", "l1_l2"]}},
        "dropout": {"uniform": [0.05, 0.15], "when": {"regularizer": "dropout"}},
        "sparse_code": {"log_uniform": [1e-7, 1e-5], "when": {"regularizer": "sparse_code"}},
    },
    "denoising": {
        "noise_variance": {"grid": list(VARIANCES)},
        "learning_rate": {"log_uniform": [1e-3, 4e-3]},
    },
}
EPOCHS, RUNGS, SAMPLES = 27, [3, 9], 3
MEAN_IMAGE = {"mnist": 0.0675, "fashion_mnist": 0.0866}
PCA = {
    "mnist": {15: 0.0279, 30: 0.0177, 50: 0.0115, 100: 0.00562},
    "fashion_mnist": {15: 0.0210, 30: 0.0156, 50: 0.0120, 100: 0.00766},
}
LINEAR_DB = {0.04: 22.1, 0.25: 17.7, 0.5: 16.2}
NOISY_DB = {0.04: 16.7, 0.25: 9.4, 0.5: 7.4}
REFERENCE = Path(__file__).parents[2] / "jobs" / "published_numbers.yaml"

Event = dict[str, Any]
# Stands for a figure where tests do without the second that drawing one takes.
EMPTY_FIGURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt" viewBox="0 0 1 1"/>'


def of_a_package(events: list[Event], as_a_whole: bool) -> list[Event]:
    """The events of a run as they would be if its layers were settings of a package's family.

    Args:
        events: those of `Synthetic`.
        as_a_whole: whether the settings are one axis of mappings; otherwise each is an axis.
    """

    def options(widths: list[int]) -> dict[str, Any]:
        return {"depth": len(widths), "widths": list(widths)}

    def cell(values: Event) -> Event:
        if "hidden_layers" not in values:
            return values
        found = options(values["hidden_layers"])
        return {
            name: value
            for axis, known in values.items()
            for name, value in (
                [(axis, known)]
                if axis != "hidden_layers"
                else [("options", sorted(map(list, found.items())))]
                if as_a_whole
                else [("options.widths", found["widths"])]
            )
        }

    changed = json.loads(json.dumps(events))
    for event in changed:
        if "configuration" in event:
            configuration = event["configuration"]
            configuration |= {"family": "lab_one", "options": options(configuration["hidden_layers"])}
            configuration["hidden_layers"] = []
        if "cell" in event:
            event["cell"] = cell(event["cell"])
        for part in (*event.get("serves", ()), *({"cell": found} for found in event.get("cells", ()))):
            part["cell"] = cell(part["cell"])
        if event.get("table", {}).get("columns") == "hidden_layers":
            event["table"]["columns"] = "options" if as_a_whole else "options.widths"
    space = changed[0]["study"]["stages"]["architecture"]["space"]
    grid = space.pop("hidden_layers")["grid"]
    whole = {"grid": [options(widths) for widths in grid], "when": {}}
    each = {"depth": {"grid": [1, 2, 4], "when": {}}, "widths": {"grid": grid, "when": {}}}
    space |= {"family": {"value": "lab_one", "when": {}}, "options": whole if as_a_whole else each}
    return changed


class Synthetic:
    """Builds the events of a run, one after the other.

    Args:
        seed: of the noise on the numbers.
        seeds: of each trial of the search.
        reference: whether the study names published numbers.
        datasets: the data sets of the study; those of `DATASETS` are known.
    """

    def __init__(
        self,
        seed: int = 0,
        seeds: tuple[int, ...] = (1,),
        reference: bool = True,
        datasets: tuple[str, ...] = DATASETS,
    ):
        self.events: list[Event] = []
        self.files: dict[str, bytes] = {}
        self._random = np.random.default_rng(seed)
        self._seeds = seeds
        self._reference = reference
        self._datasets = datasets
        self._winners: dict[tuple[str, str, tuple], Event] = {}

    def build(self) -> Synthetic:
        """The whole run."""
        self._start()
        self._search("architecture", "validation_mse", {"rows": "latent_dim", "columns": "hidden_layers"})
        self._search("regularization", "validation_mse", {"rows": "regularizer", "columns": None})
        self._search("denoising", "validation_psnr_db", {"rows": "noise_variance", "columns": None})
        self._retrain()
        self._add("run_ended", status="completed", seconds=300.0)
        return self

    def write(self, root: Path) -> RunFolder:
        """Writes the run folder; what is there already stays."""
        folder = RunFolder(root)
        root.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(content)
        return write_events(folder, self.events)

    def _add(self, kind: str, **fields: Any) -> None:
        self.events.append({"kind": kind, **fields})

    def _start(self) -> None:
        stage = {"epochs": EPOCHS, "samples": SAMPLES}
        self._add(
            "run_started",
            study={
                "name": "synthetic",
                "seed": 1,
                "datasets": [{"name": name} for name in self._datasets],
                "resources": {"gpus_per_trial": 0},
                "stages": {
                    "architecture": {**stage, "space": SPACES["architecture"]},
                    "regularization": {**stage, "space": SPACES["regularization"]},
                    "denoising": {**stage, "space": SPACES["denoising"], "retraining": {"of": "cells"}},
                },
                "retraining": {"epochs": 60, "seeds": 5},
            },
            study_hash="ab" * 32,
            command=["aesweep", "run", "jobs/a study.yaml"],
            environment={
                "python": "3.12.3",
                "platform": "Linux x86_64",
                "cpu": "A processor",
                "num_cores": 2,
                "memory_bytes": 8 * 2**30,
                "gpus": [],
                "packages": {"aesweep": "0.1.0", "torch": "2.14.1"},
                "commit": "0123456789abcdef0123456789abcdef01234567",
            },
            num_workers=2,
            reference=yaml.safe_load(REFERENCE.read_text()) if self._reference else None,
            datasets={
                name: {
                    "sha256": hashlib.sha256(name.encode()).hexdigest(),
                    "shape": [1, 28, 28],
                    "num_training_images": 54_000,
                    "num_validation_images": 6_000,
                    "num_test_images": 10_000,
                }
                for name in self._datasets
            },
        )

    def _configurations(self, stage: str, dataset: str) -> list[Configuration]:
        base = Configuration((1024,), 100)
        rates = [1e-3, 2e-3, 4e-3]
        if stage == "architecture":
            return [Configuration(w, z, learning_rate=r) for r in rates for z in LATENT_DIMS for w in WIDTHS]
        base = Configuration.from_dict(self._best("architecture", dataset)["configuration"]).as_dict()
        if stage == "denoising":
            return [
                Configuration.from_dict({**base, "noise_variance": v, "learning_rate": r})
                for r in rates
                for v in VARIANCES
            ]
        found = []
        for sample, strength in enumerate((1e-7, 1e-6, 1e-5)):
            for name in REGULARIZERS:
                values = {
                    "none": {},
                    "l1_l2": {"l1": strength, "l2": strength},
                    "dropout": {"dropout": 0.05 * (sample + 1)},
                }
                if name != "none" or sample == 0:
                    extra = values.get(name, {name: strength})
                    found.append(Configuration.from_dict({**base, "regularizer": name, **extra}))
        return found

    def _search(self, stage: str, metric: str, table: dict[str, Any]) -> None:
        mode = "max" if metric.endswith("db") else "min"
        jobs = [(d, n, c) for d in self._datasets for n, c in enumerate(self._configurations(stage, d))]
        axes = [axis for axis in table.values() if axis]
        cells = {(d, tuple(c.value_of(axis) for axis in axes)): Asha(RUNGS, 3, mode) for d, _, c in jobs}
        self._add(
            "stage_started", stage=stage, num_trials=len(jobs), num_cells=len(cells), rungs=RUNGS, epochs=EPOCHS,
            training_images=20_000, validation_images=3_000, metric=metric, mode=mode, table=table,
        )  # fmt: skip
        for dataset, index, configuration in jobs:
            self._add(
                "trial_created", stage=stage, dataset=dataset, trial=f"{stage}-{dataset}-{index:04d}",
                cell={axis: configuration.written_value(axis) for axis in axes}, configuration=configuration.as_dict(),
                seeds=list(self._seeds), epochs=EPOCHS,
            )  # fmt: skip
        for dataset in self._datasets:
            self._baselines(stage, dataset, "validation", [c for d, _, c in jobs if d == dataset])
        for dataset, index, configuration in jobs:
            key = tuple(configuration.value_of(axis) for axis in axes)
            self._trial(f"{stage}-{dataset}-{index:04d}", stage, dataset, configuration, cells[dataset, key], metric)
        self._add("stage_ended", stage=stage, seconds=60.0)

    def _baselines(self, stage: str | None, dataset: str, split: str, configurations: list[Configuration]) -> None:
        shift = 1.0 if split == "test" else 1.01
        common = {"dataset": dataset, "split": split, "stage": stage}
        rows = [("mean_image", None, None, MEAN_IMAGE[dataset])]
        rows += [("pca", z, None, PCA[dataset][z]) for z in sorted({c.latent_dim for c in configurations})]
        for method, z, variance, mse in rows:
            self._add(
                "baseline", **common, method=method, latent_dim=z, noise_variance=variance, mse=shift * mse,
                psnr_db=-10 * math.log10(shift * mse), ssim=None,
            )  # fmt: skip
        for variance in sorted({c.noise_variance for c in configurations} - {0.0}):
            for method, values in (("noisy_input", NOISY_DB), ("linear_mmse", LINEAR_DB)):
                psnr, ssim = values[variance], values[variance] / 30 if split == "test" else None
                self._add(
                    "baseline", **common, method=method, latent_dim=None, noise_variance=variance,
                    mse=10 ** (-psnr / 10), psnr_db=psnr, ssim=ssim,
                )  # fmt: skip

    def _final(self, stage: str | None, dataset: str, c: Configuration) -> tuple[float, float]:
        """Training and validation MSE that a configuration converges to."""
        if c.noise_variance:
            gain = 2.0 if dataset == "mnist" or c.noise_variance > 0.1 else -0.5
            value = 10 ** (-(LINEAR_DB[c.noise_variance] + gain) / 10)
            return 0.95 * value, value * (1 + 0.02 * abs(math.log(c.learning_rate / 2e-3)))
        value = PCA[dataset][c.latent_dim] * {1: 0.3, 2: 0.45, 4: 0.7}[len(c.hidden_layers)]
        if dataset == "fashion_mnist" and len(c.hidden_layers) == 4:
            value = 0.09 if c.latent_dim == 15 else 1.15 * PCA[dataset][c.latent_dim]
        value *= 1 + 0.2 * abs(math.log(c.learning_rate / 2e-3))
        factor = {"l1": 1.3, "l2": 1.1, "l1_l2": 1.4, "sparse_code": 1.05, "dropout": 1.2}.get(c.regularizer, 1.0)
        if c.regularizer == "dropout" and dataset == "mnist":
            factor = 0.8 + c.dropout
        return value / 1.3, value * factor

    def _rows(self, name: str, dataset: str, c: Configuration, epochs: int, validated: bool) -> list[Event]:
        training, validation = self._final(None, dataset, c)
        rows = []
        for epoch in range(1, epochs + 1):
            noise = 1 + 0.01 * self._random.standard_normal()
            fall = 1 + 8 * math.exp(-epoch / 5)
            per_seed = [validation * fall * noise * (1 + 0.01 * k) for k in range(len(self._seeds))]
            row = {
                "trial": name, "epoch": epoch, "loss": training * fall * 1.05, "training_mse": training * fall * noise,
                "learning_rate": c.learning_rate, "seconds": 0.5,
            }  # fmt: skip
            if validated:
                mean = float(np.mean(per_seed))
                row |= {"validation_mse": mean, "validation_psnr_db": -10 * math.log10(mean), "per_seed": per_seed}
            rows.append(row)
        return rows

    def _trial(self, name: str, stage: str, dataset: str, c: Configuration, asha: Asha, metric: str) -> None:
        fate = None
        if stage == "architecture" and dataset == "mnist" and (c.hidden_layers, c.latent_dim) == ((512, 128), 30):
            fate = "failed" if c.learning_rate == 4e-3 else "diverged"
        seconds = 0.0
        for row in self._rows(name, dataset, c, EPOCHS, True):
            seconds += row["seconds"]
            epoch = row["epoch"]
            if fate and epoch == 2:
                reason = "the loss was not finite in epoch 2"
                if fate == "failed":
                    reason = "RuntimeError: <script>alert(1)</script> | `rm` out of memory"
                else:
                    self._add("row", **{**row, "loss": None, "validation_mse": None, "validation_psnr_db": None})
                self._add("trial_ended", trial=name, status=fate, epochs=epoch, reason=reason, seconds=seconds)
                return
            self._add("row", **row)
            decision = asha.decide(name, epoch, row[metric])
            if decision:
                action = "continue" if decision.keep else "stop"
                self._add(
                    "decision", trial=name, epoch=epoch, action=action, value=row[metric], cutoff=decision.cutoff,
                    num_compared=decision.num_compared,
                )  # fmt: skip
                if not decision.keep:
                    self._add("trial_ended", trial=name, status="stopped", epochs=epoch, reason=None, seconds=seconds)
                    return
        self._add("trial_ended", trial=name, status="completed", epochs=EPOCHS, reason=None, seconds=seconds)
        created = next(e for e in self.events if e["kind"] == "trial_created" and e["trial"] == name)
        sign = -1 if metric.endswith("db") else 1
        key = (stage, dataset, tuple(map(str, created["cell"].values())))
        won = {**created, "value": row[metric]}
        if key not in self._winners or sign * won["value"] < sign * self._winners[key]["value"]:
            self._winners[key] = won

    def _best(self, stage: str, dataset: str) -> Event:
        sign = -1 if stage == "denoising" else 1
        found = [event for (s, d, _), event in self._winners.items() if (s, d) == (stage, dataset)]
        return min(found, key=lambda event: sign * event["value"])

    def _retrain(self) -> None:
        served: dict[tuple, list[Event]] = {}
        for dataset in self._datasets:
            chosen = [(self._best("architecture", dataset), 5), (self._best("regularization", dataset), 5)]
            chosen += [(e, 3) for (s, d, _), e in self._winners.items() if (s, d) == ("denoising", dataset)]
            for event, count in chosen:
                for seed in range(1, count + 1):
                    key = (dataset, Configuration.from_dict(event["configuration"]), seed)
                    served.setdefault(key, []).append(event)
        for (dataset, c, seed), events in served.items():
            self._add(
                "retraining_created", trial=f"retraining-{dataset}-{c.digest()}-30-{seed}", dataset=dataset,
                configuration=c.as_dict(), seed=seed, epochs=30, num_images=60_000,
                serves=[{"stage": e["stage"], "cell": e["cell"], "trial": e["trial"]} for e in events],
            )  # fmt: skip
        for dataset, c, seed in served:
            name = f"retraining-{dataset}-{c.digest()}-30-{seed}"
            for row in self._rows(name, dataset, c, 30, False):
                self._add("row", **row)
            test = 0.9 * self._final(None, dataset, c)[1] * (1 + 0.01 * self._random.standard_normal())
            self._add(
                "retrained", trial=name, training_mse=0.8 * test, test_mse=test, test_psnr_db=-10 * math.log10(test),
                test_ssim=1 - 5 * test, epochs=30, seconds=15.0,
                checkpoint={"file": f"checkpoints/{name}.safetensors", "sha256": "cd" * 32, "num_bytes": 1000},
            )  # fmt: skip
            self._add("trial_ended", trial=name, status="completed", epochs=30, reason=None, seconds=15.0)
        for dataset in self._datasets:
            configurations = [c for d, c, _ in served if d == dataset]
            self._baselines(None, dataset, "test", configurations)
            self._pictures(dataset)
        self._add("stage_ended", stage="retraining", seconds=120.0)

    def _pictures(self, dataset: str) -> None:
        y, x = np.mgrid[:28, :28]
        centres = self._random.uniform(8, 20, (10, 2))
        clean = np.exp(-((y - centres[:, :1, None]) ** 2 + (x - centres[:, 1:, None]) ** 2) / 20)[:, None]

        def disturbed(variance: float) -> np.ndarray:
            return (clean + math.sqrt(variance) * self._random.standard_normal(clean.shape)).clip(0, 1)

        self._write_pictures(
            dataset,
            "architecture",
            "reconstruction",
            100,
            None,
            original=clean,
            winner=disturbed(0.001),
            pca=disturbed(0.01),
        )
        self._write_pictures(
            dataset, "denoising", "denoising", None, list(VARIANCES), original=clean,
            noisy=np.stack([disturbed(v) for v in VARIANCES]),
            linear_mmse=np.stack([disturbed(v / 5) for v in VARIANCES]),
            denoised=np.stack([disturbed(v / 20) for v in VARIANCES]),
        )  # fmt: skip

    def _write_pictures(
        self,
        dataset: str,
        stage: str,
        purpose: str,
        latent_dim: int | None,
        variances: list | None,
        **arrays: np.ndarray,
    ) -> None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{name: array.astype(np.float32) for name, array in arrays.items()})
        file = f"pictures/{dataset}-{stage}.npz"
        self.files[file] = buffer.getvalue()
        self._add(
            "pictures", dataset=dataset, stage=stage, purpose=purpose, file=file,
            sha256=hashlib.sha256(buffer.getvalue()).hexdigest(), latent_dim=latent_dim, noise_variances=variances,
        )  # fmt: skip


def write_events(folder: RunFolder, events: list[Event]) -> RunFolder:
    """Writes a journal of the given events, over an earlier one, without waiting for the disk at any of them."""
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.journal.unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "sync", lambda _: None)
        with Journal(folder.journal) as journal:
            for event in events:
                journal.append(**event)
    return folder


def renamed(value: Any, name: str, other: str) -> Any:
    """Returns events, or a part of them, with another name wherever a text holds the one that is given."""
    if isinstance(value, str):
        return value.replace(name, other)
    if isinstance(value, dict):
        return {renamed(key, name, other): renamed(item, name, other) for key, item in value.items()}
    return [renamed(item, name, other) for item in value] if isinstance(value, list | tuple) else value

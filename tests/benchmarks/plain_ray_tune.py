"""The rival: a plain Ray Tune sweep of autoencoders on MNIST, written the way Ray's PyTorch example is.

A function as the trainable, a process per trial, torchvision's MNIST with ToTensor behind a shuffling DataLoader, an
nn.Module under torch.optim.Adam, a report after each epoch. ASHA's grace period is the whole budget, so that nothing is
stopped; everything else is as it comes. It uses nothing of this project. The last line on stdout is JSON.

    python tests/benchmarks/plain_ray_tune.py --data-dir DATA [--images 60000] [--epochs 2] [--trials 8]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile

import numpy as np
import ray
import torch
from plain_autoencoder import Autoencoder, train_epoch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms


def train_mnist(config: dict) -> None:
    """One trial."""
    dataset = datasets.MNIST(config["data_dir"], train=True, transform=transforms.ToTensor())
    loader = DataLoader(Subset(dataset, range(config["images"])), batch_size=128, shuffle=True)
    model = Autoencoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=config["lr"])
    for _ in range(config["epochs"]):
        tune.report({"loss": train_epoch(model, loader, optimizer)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", required=True, help="the folder that holds MNIST/raw")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--trials", type=int, default=8)
    arguments = parser.parse_args()
    # A short path: Ray's sockets lie under it, and their names are limited to a hundred bytes.
    with tempfile.TemporaryDirectory(prefix="rival", dir="/tmp", ignore_cleanup_errors=True) as folder:
        ray.init(num_cpus=os.cpu_count(), include_dashboard=False, _temp_dir=f"{folder}/ray")
        tuner = tune.Tuner(
            tune.with_resources(train_mnist, {"cpu": 1}),
            param_space={
                "lr": tune.grid_search([float(rate) for rate in np.geomspace(5e-4, 5e-3, arguments.trials)]),
                "data_dir": os.path.abspath(arguments.data_dir),
                "images": arguments.images,
                "epochs": arguments.epochs,
            },
            tune_config=tune.TuneConfig(
                metric="loss",
                mode="min",
                scheduler=ASHAScheduler(max_t=arguments.epochs, grace_period=arguments.epochs),
            ),
            run_config=tune.RunConfig(storage_path=f"{folder}/results"),
        )
        results = tuner.fit()
        ray.shutdown()
    epochs = [result.metrics["training_iteration"] for result in results]
    if results.errors or epochs != [arguments.epochs] * arguments.trials:
        raise SystemExit(f"expected {arguments.trials} trials of {arguments.epochs} epochs, got {epochs}")
    print(json.dumps({"mean_loss": float(np.mean([result.metrics["loss"] for result in results]))}))


if __name__ == "__main__":
    main()

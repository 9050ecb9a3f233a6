"""The rival's search: a plain Ray Tune sweep with ASHA of autoencoders on MNIST, written the way Ray's examples are.

A function as the trainable, a process per trial, torchvision's MNIST with ToTensor behind a shuffling DataLoader, an
nn.Module under torch.optim.Adam with drawn learning rates, the validation error reported after each epoch. It uses
nothing of this project, and goes on until every trial is stopped or at its last epoch; Tune writes what trials report
to FOLDER/results/*/*/result.json.

    python tests/benchmarks/plain_asha_sweep.py --data-dir DATA --folder FOLDER [--trials 8] [--epochs 50]
"""

from __future__ import annotations

import argparse
import os

import ray
import torch
from plain_autoencoder import Autoencoder, train_epoch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from torch import nn
from torch.utils.data import DataLoader, random_split
from torchvision import datasets, transforms


def train_mnist(config: dict) -> None:
    """One trial."""
    dataset = datasets.MNIST(config["data_dir"], train=True, transform=transforms.ToTensor())
    sizes = [len(dataset) - config["validation_images"], config["validation_images"]]
    training, validation = random_split(dataset, sizes, generator=torch.Generator().manual_seed(0))
    training_loader = DataLoader(training, batch_size=128, shuffle=True)
    validation_loader = DataLoader(validation, batch_size=128)
    model = Autoencoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=config["lr"])
    criterion = nn.MSELoss()
    for _ in range(config["epochs"]):
        model.train()
        train_epoch(model, training_loader, optimizer)
        model.eval()
        total = 0.0
        with torch.no_grad():
            for images, _ in validation_loader:
                total += criterion(model(images), images.flatten(1)).item() * len(images)
        tune.report({"validation_mse": total / len(validation)})


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", required=True, help="the folder that holds MNIST/raw")
    parser.add_argument("--folder", required=True, help="an empty one; a short path, since Ray's sockets lie under it")
    parser.add_argument("--validation-images", type=int, default=6_000)
    parser.add_argument("--rates", nargs=2, type=float, default=[5e-4, 5e-3], help="ends of the learning rates")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    return parser


def main() -> None:
    arguments = parser().parse_args()
    ray.init(num_cpus=arguments.workers, include_dashboard=False, _temp_dir=f"{arguments.folder}/ray")
    tuner = tune.Tuner(
        tune.with_resources(train_mnist, {"cpu": 1}),
        param_space={
            "lr": tune.loguniform(*arguments.rates),
            "data_dir": os.path.abspath(arguments.data_dir),
            "validation_images": arguments.validation_images,
            "epochs": arguments.epochs,
        },
        tune_config=tune.TuneConfig(
            metric="validation_mse",
            mode="min",
            num_samples=arguments.trials,
            scheduler=ASHAScheduler(max_t=arguments.epochs, grace_period=1, reduction_factor=3),
        ),
        run_config=tune.RunConfig(name="sweep", storage_path=f"{arguments.folder}/results"),
    )
    results = tuner.fit()
    ray.shutdown()
    if results.errors:
        raise SystemExit(f"{len(results.errors)} of {arguments.trials} trials failed")


if __name__ == "__main__":
    main()

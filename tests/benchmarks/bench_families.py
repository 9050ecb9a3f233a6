"""Speed of a convolutional member on one CPU core against a plain in-memory PyTorch loop of the same network.

Both sides train one model of the same shape on random images of MNIST's, with as many steps: ours as a pack's member,
the other as an `nn.Sequential` in channels-last memory, with autograd, `torch.optim.Adam(fused=True)` and its images on
hand as uint8. Sides alternate in one process, each round begins with the other one, and medians are compared.

    python tests/benchmarks/bench_families.py [--channels 32 64] [--images 6400] [--rounds 5] [--precision fp32 bf16]

Takes about a minute a round. Prints a markdown table on stdout.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from tabulate import tabulate
from torch import nn

from aesweep.study.configuration import Configuration
from aesweep.training.engine.member import architecture_of
from aesweep.training.engine.precision import configure_torch
from aesweep.training.pack import Pack

SHAPE = (1, 28, 28)


def ours(images: np.ndarray, configuration: Configuration, precision: str) -> Callable[[], float]:
    """Returns a function that trains an epoch of a member and returns its mean squared error."""
    pack = Pack(images, image_shape=SHAPE, precision=precision)
    pack.add("timed", configuration, seed=0, epochs=10_000)
    return lambda: pack.train_epoch()["timed"].reconstruction_mse


def plain(images: np.ndarray, configuration: Configuration, precision: str) -> Callable[[], float]:
    """Returns a function that trains an epoch of a plain module and returns its mean squared error."""
    architecture = architecture_of(configuration, SHAPE)
    initial = architecture.initial_parameters(torch.Generator().manual_seed(0))
    model = architecture.as_module(initial).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=configuration.learning_rate, fused=True)
    data = torch.from_numpy(images)

    def epoch() -> float:
        total = 0.0
        for chosen in torch.randperm(len(data)).split(configuration.batch_size):
            clean = data[chosen].float() / 255
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                outputs = model(clean)
            loss = nn.functional.mse_loss(outputs.float(), clean)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        return total / len(data)

    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--latent-dim", type=int, default=100)
    parser.add_argument("--images", type=int, default=6400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    arguments = parser.parse_args()
    configure_torch(num_threads=1)
    images = np.random.default_rng(0).integers(0, 256, (arguments.images, 784), dtype=np.uint8)
    configuration = Configuration(
        family="convolutional", channels=tuple(arguments.channels), hidden_layers=(), latent_dim=arguments.latent_dim
    )
    rows = []
    for precision in arguments.precision:
        sides = {"ours": ours(images, configuration, precision), "plain": plain(images, configuration, precision)}
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for epoch in sides.values():
            epoch()  # to warm up
        for number in range(arguments.rounds):
            for name in sorted(sides, reverse=bool(number % 2)):
                started = time.perf_counter()
                sides[name]()
                seconds[name].append(time.perf_counter() - started)
        ratios = [p / o for o, p in zip(seconds["ours"], seconds["plain"], strict=True)]
        medians = {name: statistics.median(found) for name, found in seconds.items()}
        rows.append([precision, medians["ours"], medians["plain"], statistics.median(ratios)])
    print(f"{architecture_of(configuration, SHAPE)}, {arguments.images} images an epoch, one core\n")
    print(tabulate(rows, ["precision", "ours, s an epoch", "plain, s an epoch", "plain / ours"], "github", ".3g"))


if __name__ == "__main__":
    main()

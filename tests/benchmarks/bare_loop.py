"""The yardstick: the same trials in a bare torch loop, images in memory, no Ray, a process with one thread per core.

An nn.Module with autograd, the fused Adam, batches by index_select from a float tensor, denormal numbers flushed to
zero: what someone would write who wants nothing but speed. It uses nothing of this project. The last line on stdout is
JSON; its training time is that of the steps alone.

    python tests/benchmarks/bare_loop.py --data-dir DATA [--images 60000] [--epochs 2] [--trials 8] [--processes 2]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

BATCH = 128


def train(
    number: int, data_dir: str, num_images: int, epochs: int, rates: list[float], queue: multiprocessing.Queue
) -> None:
    """Trains one model per learning rate; puts the seconds of all steps and the last epoch's losses into the queue."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    raw = np.fromfile(Path(data_dir) / "MNIST" / "raw" / "train-images-idx3-ubyte", dtype=np.uint8, offset=16)
    images = torch.from_numpy(raw.reshape(-1, 784)[:num_images]).float().div_(255)
    seconds, losses = 0.0, []
    for index, rate in enumerate(rates):
        torch.manual_seed(1000 * number + index)
        model = nn.Sequential(
            *(nn.Linear(784, 512), nn.GELU(), nn.Linear(512, 128), nn.GELU(), nn.Linear(128, 100)),
            *(nn.Linear(100, 128), nn.GELU(), nn.Linear(128, 512), nn.GELU(), nn.Linear(512, 784), nn.Sigmoid()),
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
        started = time.perf_counter()
        for _ in range(epochs):
            total = torch.zeros(())
            for chosen in torch.randperm(num_images).split(BATCH):
                batch = images.index_select(0, chosen)
                optimizer.zero_grad(set_to_none=True)
                loss = nn.functional.mse_loss(model(batch), batch)
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(batch)
        seconds += time.perf_counter() - started
        losses.append(float(total) / num_images)
    queue.put((seconds, losses))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", required=True, help="the folder that holds MNIST/raw")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    rates = [float(rate) for rate in np.geomspace(5e-4, 5e-3, arguments.trials)]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [
        context.Process(
            target=train,
            args=(
                number,
                arguments.data_dir,
                arguments.images,
                arguments.epochs,
                rates[number :: arguments.processes],
                queue,
            ),
        )
        for number in range(arguments.processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise SystemExit(f"a training process ended with {worker.exitcode}")
    results = [queue.get() for _ in workers]
    losses = [loss for _, found in results for loss in found]
    print(json.dumps({"training_s": sum(seconds for seconds, _ in results), "mean_loss": float(np.mean(losses))}))


if __name__ == "__main__":
    main()

"""Speed of packs on a GPU: K models as one against one, against a process for each, and against what the card can do.

    python tests/benchmarks/bench_gpu.py [--members 1 2 4 ... 256] [--precision fp32 tf32] [--steps 60]

Told for each K are model-steps a second (median of rounds in which all K take turns), how many times K = 1 and how
many times the bare eager loop of one model (`nn.Sequential`, autograd, fused Adam, images on the card) that is, and
the share of the floor. The floor of a model-step is the longer of two times: its counted multiplications and additions
at the rate of large matrix products measured on this card, and its counted bytes (parameters, gradient and Adam's two
moments, read and written as the step needs them, and the activations) at the rate of a large copy measured on it.
Processes: as many bare loops at once as `--processes` says, each a process of its own.

Prints 'no GPU' and exits with 0 where there is none. It has not run on a GPU yet.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.append(str(Path(__file__).parents[1] / "uninstalled"))  # for a checkout where nothing is installed

from aesweep.models.dense import Dense
from aesweep.study.configuration import Configuration
from aesweep.training.engine.precision import configure_torch
from aesweep.training.pack import Pack

NUM_PIXELS, BATCH = 784, 128
# To draw orthogonal weights takes 0.1 s a member on the host, and is no part of a step.
CONFIGURATION = Configuration(hidden_layers=(512, 128), latent_dim=100, batch_size=BATCH, initialization="uniform")
ROUNDS = 5


def flops_of_step(architecture: Dense, batch: int) -> int:
    """Multiplications and additions of a model-step's matrix products: forward, by the weights, and by the inputs.

    The last is not needed for the first layer.
    """
    products = [rows * columns for rows, columns in itertools.pairwise(architecture.widths)]
    return 2 * batch * (3 * sum(products) - products[0])


def bytes_of_step(architecture: Dense, batch: int) -> int:
    """Bytes of a float32 model-step that no cache can save where many models take turns.

    Parameters: read by the forward and the backward pass, read and written by Adam. Gradient: written, and read.
    Moments: both read and written. Activations: each layer's product is written, read by its activation and written
    again, and read twice more by the backward pass, whose errors are written and read.
    """
    parameters = architecture.layout.num_elements
    activations = batch * sum(architecture.widths[1:])
    return 4 * ((2 + 2 + 2 + 4) * parameters + 7 * activations) + batch * NUM_PIXELS


def timed(work: Callable[[], object], repeat: int) -> float:
    """Seconds of one piece of work, on the card's own clock."""
    work()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(repeat):
        work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000 / repeat


def measured_rates() -> tuple[float, float]:
    """FLOP a second of a large matrix product at the precision set, and bytes a second of a large copy."""
    a, b = (torch.randn(8192, 8192, device="cuda") for _ in range(2))
    seconds = timed(lambda: a @ b, 10)
    source = torch.empty(256 * 1024 * 1024, dtype=torch.float32, device="cuda")
    target = torch.empty_like(source)
    return 2 * 8192**3 / seconds, 2 * source.nbytes / timed(lambda: target.copy_(source), 10)


def pack_of(num_members: int, images: np.ndarray, precision: str) -> Pack:
    pack = Pack(images, device="cuda", precision=precision)
    for seed in range(num_members):
        pack.add(str(seed), CONFIGURATION, seed=seed, epochs=10_000)
    return pack


def eager_loop(images: torch.Tensor, steps: int) -> Callable[[], None]:
    """One epoch of one model as a bare loop would train it."""
    architecture = Dense(NUM_PIXELS, CONFIGURATION.hidden_layers, CONFIGURATION.latent_dim)

    model = architecture.as_module().to("cuda")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def epoch() -> None:
        order = torch.randperm(len(images), device="cuda")
        for step in range(steps):
            clean = images[order[step * BATCH : (step + 1) * BATCH]].float().div_(255)
            optimizer.zero_grad(set_to_none=True)
            nn.functional.mse_loss(model(clean), clean).backward()
            optimizer.step()

    return epoch


def wall(work: Callable[[], object]) -> float:
    """Seconds of a piece of work as its caller sees them."""
    torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def processes_rate(num_processes: int, steps: int, precision: str, seconds: float = 10.0) -> float:
    """Model-steps a second of so many bare loops at once, each a process of its own, start not counted."""
    command = [sys.executable, __file__, "--loop-for", str(seconds), "--steps", str(steps), "--precision", precision]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(num_processes)]
    found = [process.communicate() for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("a loop of its own process ended with an error")
    return sum(float(out) for out, _ in found)


def some_images(steps: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (steps * BATCH, NUM_PIXELS), dtype=np.uint8)


def compare(arguments: argparse.Namespace, precision: str) -> None:
    """Prints the table of one precision."""
    configure_torch(1, precision)
    images, steps = some_images(arguments.steps), arguments.steps
    flop_rate, byte_rate = measured_rates()
    architecture = Dense(NUM_PIXELS, CONFIGURATION.hidden_layers, CONFIGURATION.latent_dim)
    floor_s = max(
        flops_of_step(architecture, BATCH) / flop_rate,
        bytes_of_step(architecture, BATCH) / byte_rate,
    )
    sides: dict[object, Callable[[], object]] = {"eager": eager_loop(torch.from_numpy(images).to("cuda"), steps)}
    sides |= {number: pack_of(number, images, precision).train_epoch for number in arguments.members}
    rates: dict[object, list[float]] = {side: [] for side in sides}
    for work in sides.values():
        work()  # compiles kernels, makes buffers
    for _ in range(ROUNDS):
        for side, work in sides.items():
            rates[side].append((1 if side == "eager" else side) * steps / wall(work))
    middle = {side: statistics.median(found) for side, found in rates.items()}
    torch.cuda.empty_cache()
    separate = processes_rate(arguments.processes, steps, precision)
    print(f"\n{precision}: {flop_rate / 1e12:.1f} TFLOP/s, {byte_rate / 1e9:.0f} GB/s, floor {floor_s * 1e6:.1f} us\n")
    print("| side | model-steps a second | over K = 1 | over eager | share of the floor |")
    print("|:--|--:|--:|--:|--:|")
    lines = [("bare eager loop", middle["eager"]), (f"{arguments.processes} processes", separate)]
    lines += [(f"pack, K = {number}", middle[number]) for number in arguments.members]
    for title, rate in lines:
        over_one = f"{rate / middle[1]:.2f}" if 1 in middle else ""
        print(f"| {title} | {rate:,.0f} | {over_one} | {rate / middle['eager']:.2f} | {rate * floor_s:.0%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128, 256])
    parser.add_argument("--precision", nargs="+", choices=["fp32", "tf32"], default=["fp32", "tf32"])
    parser.add_argument("--steps", type=int, default=60, help="an epoch's")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--loop-for", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU")
        return
    if arguments.loop_for:
        configure_torch(1, arguments.precision[0])
        epoch = eager_loop(torch.from_numpy(some_images(arguments.steps)).to("cuda"), arguments.steps)
        wall(epoch)
        started, epochs = time.perf_counter(), 0
        while time.perf_counter() - started < arguments.loop_for:
            wall(epoch)
            epochs += 1
        print(epochs * arguments.steps / (time.perf_counter() - started))
        return
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    for precision in arguments.precision:
        compare(arguments, precision)


if __name__ == "__main__":
    main()

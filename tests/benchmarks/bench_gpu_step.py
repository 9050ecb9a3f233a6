"""Where a step's time goes on a GPU: replays by the card's clock, the host's share, kernels by name, products alone.

    python tests/benchmarks/bench_gpu_step.py [--members 1 2 4 8 16 64 256] [--steps 422] [--only epochs kernels ...]

Parts: `epochs`, a table; `kernels`, the time of each kernel by name, written to $OUT/kernels.txt or ./kernels.txt;
`parts`, the update, the gather and each product alone; `side_by_side`, small packs in turn and each on a stream of its
own.

Prints 'no GPU' and exits with 0 where there is none. It has not run on a GPU yet.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[1] / "uninstalled"))  # for a checkout where nothing is installed

from aesweep.study.configuration import Configuration
from aesweep.training.engine.gpu.cuda_graph import RepeatedStep
from aesweep.training.engine.gpu.lock_step import LockStepStack
from aesweep.training.engine.precision import configure_torch
from aesweep.training.pack import Pack

BATCH = 128
PLAIN = Configuration(hidden_layers=(512, 128), latent_dim=100, batch_size=BATCH, initialization="uniform")
ALL = dataclasses.replace(PLAIN, dropout=0.05, noise_variance=0.1, l1=1e-7, l2=1e-7, sparse_code=1e-6)


def microseconds(work: Callable[[], object], repeat: int) -> float:
    """Microseconds of one piece of work by the card's clock, median of five rounds."""
    work()
    found = []
    for _ in range(5):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(repeat):
            work()
        end.record()
        end.synchronize()
        found.append(begin.elapsed_time(end) * 1000 / repeat)
    return statistics.median(found)


def pack_of(
    number: int, steps: int, configuration: Configuration = PLAIN, precision: str = "fp32", device: str = "cuda"
) -> Pack:
    images = np.random.default_rng(0).integers(0, 256, (steps * configuration.batch_size, 784), dtype=np.uint8)
    pack = Pack(images, device=device, precision=precision, lock_step=True, members_per_step=10_000)
    for seed in range(number):
        pack.add(str(seed), configuration, seed=seed, epochs=10_000)
    return pack


def stack_of(pack: Pack) -> LockStepStack:
    """The only stack of a pack, after an epoch."""
    (stack,) = pack._stacks.values()
    return stack


def replay_of(pack: Pack) -> tuple[Callable[[], None], Callable[[], None]]:
    """What sets a pack's step back to the first, and what replays a step."""
    stack = stack_of(pack)
    return stack._step.zero_, stack._current.repeat._replay


class HostTime:
    """The host's seconds in a pack's epochs: drawing up the next one, and calling steps.

    Attributes:
        drawing: seconds of drawing up.
        calling: seconds of calling steps.
    """

    def __init__(self, pack: Pack):
        self.drawing = self.calling = 0.0
        stack = stack_of(pack)
        draw_up, repeat = stack._draw_up, stack._current.repeat

        def timed_draw_up(*arguments: Any) -> Any:
            started = time.perf_counter()
            found = draw_up(*arguments)
            self.drawing += time.perf_counter() - started
            return found

        class Timed(RepeatedStep):
            def __call__(inner, step: Callable[[], None]) -> None:
                started = time.perf_counter()
                repeat(step)
                self.calling += time.perf_counter() - started

        stack._draw_up = timed_draw_up
        timed = Timed(None)
        timed._replay = repeat._replay
        object.__setattr__(stack._current, "repeat", timed)


def epochs(arguments: argparse.Namespace) -> None:
    """Prints a table of steps and epochs."""
    print("| precision | what | K | replay, us | model-steps/s of replays | of epochs | first epoch, ms | an epoch, ms "
          "| of it calling steps, ms | drawing up, ms | MB held |")  # fmt: skip
    print("|:--|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for precision in arguments.precision:
        configure_torch(1, precision)
        for what, configuration in (("plain", PLAIN), ("all", ALL)):
            for number in arguments.members if what == "plain" else sorted({2, 64} & set(arguments.members)):
                torch.cuda.empty_cache()
                pack = pack_of(number, arguments.steps, configuration, precision)
                torch.cuda.synchronize()
                started = time.perf_counter()
                pack.train_epoch()
                first = time.perf_counter() - started
                host = HostTime(pack)
                pack.train_epoch()
                walls, host.drawing, host.calling = [], 0.0, 0.0
                for _ in range(3):
                    started = time.perf_counter()
                    pack.train_epoch()
                    walls.append(time.perf_counter() - started)
                wall = statistics.median(walls)
                reset, replay = replay_of(pack)

                def replays(reset: Callable = reset, replay: Callable = replay) -> None:
                    reset()
                    for _ in range(50):
                        replay()

                us = microseconds(replays, 2) / 50
                held = torch.cuda.memory_allocated() / 1e6
                print(f"| {precision} | {what} | {number} | {us:.1f} | {number / us * 1e6:,.0f} ", end="")
                print(f"| {number * arguments.steps / wall:,.0f} | {first * 1e3:.0f} | {wall * 1e3:.1f} ", end="")
                print(f"| {host.calling / 3 * 1e3:.1f} | {host.drawing / 3 * 1e3:.1f} | {held:.0f} |", flush=True)


def kernels(arguments: argparse.Namespace) -> None:
    """Tells the time of each kernel in 20 replays."""
    from torch.profiler import ProfilerActivity, profile

    out = Path(os.environ.get("OUT", ".")) / "kernels.txt"
    for precision in arguments.precision:
        configure_torch(1, precision)
        for what, configuration, number in (
            ("plain", PLAIN, 1),
            ("plain", PLAIN, 2),
            ("plain", PLAIN, 64),
            ("all", ALL, 64),
        ):
            pack = pack_of(number, 60, configuration, precision)
            pack.train_epoch()
            reset, replay = replay_of(pack)
            reset()
            torch.cuda.synchronize()
            with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
                for _ in range(20):
                    replay()
                torch.cuda.synchronize()
            device = [event for event in found.events() if "CUDA" in str(event.device_type)]
            by_name: dict[str, tuple[int, float]] = {}
            for event in device:
                count, total = by_name.get(event.name, (0, 0.0))
                by_name[event.name] = (count + 1, total + event.time_range.elapsed_us())
            total = sum(spent for _, spent in by_name.values()) / 20
            lines = [f"{precision} {what} K={number}: {len(device) / 20:.0f} kernels a step, {total:.1f} us in them"]
            lines += [
                f"{spent / 20:9.2f} us  {count / 20:5.1f} x  {name[:150]}"
                for name, (count, spent) in sorted(by_name.items(), key=lambda item: -item[1][1])
            ]
            with out.open("a") as file:
                file.write("\n".join(lines) + "\n\n")
            print("\n".join(lines[:8]), flush=True)


def parts(arguments: argparse.Namespace) -> None:
    """Tells the time of parts of a step alone."""
    from aesweep.training.engine.gpu import kernels as ours

    number, length, weights = 64, 961_664, 959_488

    def new(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device="cuda")

    state = [new(number, length) for _ in range(3)] + [new(number, length).square()]
    scalars, constants = torch.rand(number, 5, device="cuda") + 0.5, torch.rand(5, device="cuda")
    present = torch.ones(number, dtype=torch.int32, device="cuda")
    us = microseconds(lambda: ours.update(*state, scalars, constants, present, weights, False), 5)
    print(f"update, K {number}: {us:.0f} us, {7 * state[0].nbytes / us / 1e6:.2f} TB/s")
    us = microseconds(lambda: torch.linalg.vector_norm(state[0][:, :weights], 1, dim=1), 5)
    print(f"one norm of all weights: {us:.0f} us, {state[0].nbytes / us / 1e6:.2f} TB/s")
    images = torch.randint(0, 256, (54_000, 784), dtype=torch.uint8, device="cuda")
    chosen = torch.randint(0, 54_000, (number * BATCH,), device="cuda")
    out = torch.empty(number * BATCH, 784, dtype=torch.uint8, device="cuda")
    clean = new(number, BATCH, 784)
    gather = microseconds(lambda: torch.index_select(images, 0, chosen, out=out), 5)
    scale = microseconds(lambda: clean.copy_(out.view(clean.shape)).div_(255), 5)
    print(f"gather {gather:.0f} us, cast and scale {scale:.0f} us")
    for precision in arguments.precision:
        configure_torch(1, precision)
        for k in (1, 2, 8, 64):
            told = []
            for i, o in ((784, 512), (512, 128), (128, 100), (512, 784)):
                a, error, bias = new(k, BATCH, i), new(k, BATCH, o), new(k, o)
                weight, gradient = (new(k, length)[:, : i * o].view(k, i, o) for _ in range(2))
                after, before = torch.empty_like(error), torch.empty_like(a)

                def forward(a=a, bias=bias, weight=weight, after=after) -> None:
                    torch.baddbmm(bias.unsqueeze(1), a, weight, out=after)

                def by_weight(a=a, error=error, gradient=gradient) -> None:
                    torch.bmm(a.mT, error, out=gradient)

                def by_input(error=error, weight=weight, before=before) -> None:
                    torch.bmm(error, weight.mT, out=before)

                times = [microseconds(work, 20) for work in (forward, by_weight, by_input)]
                rates = [2 * k * BATCH * i * o / us / 1e6 for us in times]
                told.append(
                    f"{i}x{o} " + " ".join(f"{us:.1f} ({rate:.1f} T)" for us, rate in zip(times, rates, strict=True))
                )
            print(f"{precision}, K {k}, us of forward, by weight, by input: " + "; ".join(told), flush=True)


def side_by_side(arguments: argparse.Namespace) -> None:
    """Compares packs of one and two members in turn with each on a stream of its own, captured for that stream."""
    configure_torch(1, "tf32")
    for number in (1, 2):
        packs, streams = [pack_of(number, 60, PLAIN, "tf32") for _ in range(8)], [torch.cuda.Stream() for _ in range(8)]
        for pack, stream in zip(packs, streams, strict=True):
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                pack.train_epoch()
        works = [replay_of(pack) for pack in packs]
        torch.cuda.synchronize()

        def in_turn(works: list = works) -> None:
            for reset, replay in works:
                reset()
                for _ in range(50):
                    replay()

        def at_once(works: list = works, streams: list = streams) -> None:
            for (reset, _), stream in zip(works, streams, strict=True):
                stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(stream):
                    reset()
            for _ in range(50):
                for (_, replay), stream in zip(works, streams, strict=True):
                    with torch.cuda.stream(stream):
                        replay()
            for stream in streams:
                torch.cuda.current_stream().wait_stream(stream)

        one, other = microseconds(in_turn, 1) / 50, microseconds(at_once, 1) / 50
        print(
            f"8 packs of {number}: a step of all in turn {one:.0f} us, at once {other:.0f} us, {one / other:.2f} times"
        )


PARTS = {"epochs": epochs, "kernels": kernels, "parts": parts, "side_by_side": side_by_side}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128, 256])
    parser.add_argument("--precision", nargs="+", choices=["fp32", "tf32", "bf16"], default=["fp32", "tf32"])
    parser.add_argument("--steps", type=int, default=422, help="an epoch's")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU")
        return
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
    for name in arguments.only:
        started = time.perf_counter()
        try:
            PARTS[name](arguments)
        except Exception as error:  # one part that fails must not cost the time on a lent card that the others need
            print(f"FAILED {name}: {error!r}"[:600], flush=True)
        print(f"-- {name}: {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()

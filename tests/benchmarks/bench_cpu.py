"""Speed on CPU cores: this project against a plain Ray Tune sweep and against a bare torch loop.

Every side trains the same trials (MNIST, 784-512-128-100 and back, batch 128, Adam, 8 learning rates, no early
stopping) for the same number of steps, each as a process of its own, timed from outside: start, imports and, on our
side, baselines and report included. Sides alternate, and each round starts with another one, so that a machine that
slows down slows all of them. What is compared beside the whole command is training time: the seconds of all
trials' epochs, summed (ours from the journal, the bare loop's from its own clock).

    python tests/benchmarks/bench_cpu.py [--data-dir DATA] [--rounds 5] [--epochs 2] [--images 60000]

Takes about 3.5 minutes a round at 2 epochs on two cores, most of it the rival's. Prints a markdown table on stdout;
nothing is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from premises import HERE, ROOT, add_data_dir, machine, parsed_with_mnist
from rounds import in_turn, median_and_range

TITLES = {"aesweep": "aesweep run", "plain": "plain Ray Tune", "bare": "bare torch loop, no Ray"}


@dataclass(frozen=True)
class Measurement:
    """One side in one round: the command's seconds, its training's (None where unknown), its trials' mean loss."""

    command_s: float
    training_s: float | None
    mean_loss: float


def study(arguments: argparse.Namespace) -> dict:
    """The trials as a study: one cell, a learning rate per trial, nothing stopped, nothing retrained."""
    return {
        "name": "benchmark",
        "datasets": ["mnist"],
        "precision": arguments.precision,
        # The smallest validation set there is: a single image less to train on, and as many steps.
        "validation_fraction": 1e-6,
        "stages": {
            "speed": {
                "space": {
                    "hidden_layers": [512, 128],
                    "latent_dim": {"grid": [100]},
                    "learning_rate": {"grid": learning_rates(arguments.trials)},
                    "schedule": "constant",
                    "batch_size": 128,
                },
                "table": {"rows": "latent_dim"},
                "epochs": arguments.epochs,
                "training_images": min(arguments.images, 59_999),
                "asha": {"grace_period": arguments.epochs},
                "retraining": {"of": "none"},
            }
        },
    }


def learning_rates(num_trials: int) -> list[float]:
    return [float(rate) for rate in np.geomspace(5e-4, 5e-3, num_trials)]


def measure_aesweep(arguments: argparse.Namespace, folder: Path) -> Measurement:
    """Our whole command, in an empty folder for runs."""
    study_file = folder / "benchmark.yaml"
    study_file.write_text(yaml.safe_dump(study(arguments)))
    options = ["--runs", str(folder / "runs"), "--data-dir", arguments.data_dir, "--workers", str(arguments.workers)]
    command_s, _ = timed([sys.executable, "-m", "aesweep.cli", "run", str(study_file), *options, "--quiet"], folder)
    rows = []
    for line in (folder / "runs" / "benchmark" / "journal.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["kind"] == "row":
            rows.append(event)
    if len(rows) != arguments.trials * arguments.epochs:
        raise SystemExit(f"expected {arguments.trials * arguments.epochs} rows in our journal, found {len(rows)}")
    last = [row["loss"] for row in rows if row["epoch"] == arguments.epochs]
    return Measurement(command_s, sum(row["seconds"] for row in rows), statistics.mean(last))


def measure_plain(arguments: argparse.Namespace, folder: Path) -> Measurement:
    """The rival's whole command."""
    command_s, result = timed([sys.executable, str(HERE / "plain_ray_tune.py"), *shared_options(arguments)], folder)
    return Measurement(command_s, None, result["mean_loss"])


def measure_bare(arguments: argparse.Namespace, folder: Path) -> Measurement:
    """The bare loop's whole command, and its training time."""
    options = [*shared_options(arguments), "--processes", str(arguments.workers)]
    command_s, result = timed([sys.executable, str(HERE / "bare_loop.py"), *options], folder)
    return Measurement(command_s, result["training_s"], result["mean_loss"])


def shared_options(arguments: argparse.Namespace) -> list[str]:
    names = ("data_dir", "images", "epochs", "trials")
    return [part for name in names for part in (f"--{name.replace('_', '-')}", str(getattr(arguments, name)))]


def timed(command: list[str], folder: Path) -> tuple[float, dict]:
    """Runs a command to its end; returns its seconds and the JSON on its last line of stdout, if there is any."""
    # No GPU for anyone, no proxy between Ray's processes, no statistics sent anywhere.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "RAY_USAGE_STATS_ENABLED": "0"}
    with open(folder / "stderr", "w+b") as messages:
        started = time.perf_counter()
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=messages, text=True, check=False
        )
        seconds = time.perf_counter() - started
        if done.returncode:
            messages.seek(0)
            sys.stderr.write(messages.read().decode(errors="replace")[-4000:])
            raise SystemExit(f"{' '.join(command)}: ended with {done.returncode}")
    last = (done.stdout.splitlines() or [""])[-1]
    return seconds, json.loads(last) if last.startswith("{") else {}


SIDES = {"aesweep": measure_aesweep, "plain": measure_plain, "bare": measure_bare}


def run_rounds(arguments: argparse.Namespace) -> dict[str, list[Measurement]]:
    """All sides in turn, as often as asked; each round starts with another side."""
    measured: dict[str, list[Measurement]] = {side: [] for side in arguments.sides}
    for number, side, folder in in_turn(arguments.sides, arguments.rounds, "bench"):
        found = SIDES[side](arguments, folder)
        measured[side].append(found)
        print(f"round {number + 1}/{arguments.rounds} {side}: {found.command_s:.1f} s", file=sys.stderr, flush=True)
    return measured


def table(measured: dict[str, list[Measurement]]) -> str:
    """A row per side: medians (and the range of commands), and how many times as long as ours they took.

    A ratio is the median of the rounds' ratios, since the two sides of a round met the same machine.
    """
    lines = [
        "| side | whole command, s | range, s | over ours | training, s | over ours | mean last loss |",
        "|:--|--:|--:|--:|--:|--:|--:|",
    ]
    for side, rounds in measured.items():
        training = [found.training_s for found in rounds if found.training_s is not None]
        cells = [
            TITLES[side],
            *median_and_range([found.command_s for found in rounds]),
            _ratio(measured, side, "command_s"),
            f"{statistics.median(training):.1f}" if training else "",
            _ratio(measured, side, "training_s"),
            f"{statistics.mean(found.mean_loss for found in rounds):.5f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ratio(measured: dict[str, list[Measurement]], side: str, quantity: str) -> str:
    pairs = zip(measured[side], measured.get("aesweep", []), strict=False)
    ratios = [
        getattr(theirs, quantity) / getattr(ours, quantity) for theirs, ours in pairs if getattr(theirs, quantity)
    ]
    return f"{statistics.median(ratios):.2f}" if ratios else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_data_dir(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="fp32", help="of our side: fp32 or bf16; the others are fp32")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="ours, and the bare loop's processes")
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES))
    arguments = parsed_with_mnist(parser)
    measured = run_rounds(arguments)
    print(
        f"{arguments.trials} trials x {arguments.epochs} epochs, {arguments.images:,} images; {arguments.rounds} rounds"
    )
    print(f"{machine()}\n\n{table(measured)}")


if __name__ == "__main__":
    main()

"""How long until a good model is there: a plain Ray Tune sweep with ASHA, and our study of the same cell.

Both search the learning rate of one network on MNIST (784-512-128-100 and back, batch 128, 54,000 images to train on
and 6,000 to validate on) with as many trials, the same interval of rates and ASHA of reduction factor 3 from the first
epoch on. Each is a whole command, started as a user does, and its clock runs from there until the first record of a
validation MSE of at most --target is on the disk; then it is ended. What differs is what each side brings: the plain
sweep has a DataLoader, fp32 and Adam at a constant rate, as such sweeps usually have, and trains up to --plain-epochs;
ours has its defaults (a one-cycle schedule over --epochs, initial weights, bf16 where the processor multiplies it).

    python tests/benchmarks/bench_time_to_quality.py [--data-dir DATA] [--rounds 3] [--target 0.0047]

Sides alternate, and each round starts with the other one; a round draws other learning rates. A side that has not
reached the target after --limit-s seconds, or when it ended by itself, counts as that long, and the ratio is told as a
lower bound. Each side has a folder of its own for Ray and ports that Ray finds free, and is ended by the process ids
of its own session. Prints a markdown table on stdout; nothing is left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from premises import HERE, ROOT, add_data_dir, machine, parsed_with_mnist
from rounds import in_turn, median_and_range

TITLES = {"aesweep": "aesweep run", "plain": "plain Ray Tune with ASHA"}
EVERY_S = 0.05  # how often a side's records are read
GRACE_S = 30  # how long a side may take to end when it is asked to


@dataclass(frozen=True)
class Side:
    """A command, and where it leaves what it measures.

    Attributes:
        command: the command.
        records: pattern of its files of JSON lines, in its folder.
        value_of: returns the validation MSE that a line tells of; None if it tells of none.
    """

    command: list[str]
    records: str
    value_of: Callable[[dict[str, Any]], float | None]


@dataclass(frozen=True)
class Outcome:
    """What a side came to.

    Attributes:
        seconds: from the command's start to the record that reached the target, or to its end.
        best: the lowest validation MSE by then; infinity if there was none.
        num_records: how many validation errors were recorded by then: epochs, of all trials together.
        is_reached: whether the target was reached.
    """

    seconds: float
    best: float
    num_records: int
    is_reached: bool


class Records:
    """Reads files of JSON lines as they grow, each line once."""

    def __init__(self, folder: Path, pattern: str):
        self._folder, self._pattern = folder, pattern
        self._read: dict[Path, int] = {}

    def new(self) -> Iterator[dict[str, Any]]:
        """Yields the lines that were completed since the last call."""
        for path in sorted(self._folder.glob(self._pattern)):
            with open(path, "rb") as file:
                file.seek(self._read.get(path, 0))
                content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            yield from (json.loads(line) for line in whole.splitlines())


def study(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Our side's cell, with nothing retrained."""
    return {
        "name": "quality",
        "seed": seed,
        "datasets": ["mnist"],
        "precision": arguments.precision,
        "validation_fraction": 0.1,
        "stages": {
            "quality": {
                "space": {
                    "hidden_layers": [512, 128],
                    "latent_dim": {"grid": [100]},
                    "learning_rate": {"log_uniform": list(arguments.rates)},
                    "batch_size": 128,
                },
                "table": {"rows": "latent_dim"},
                "samples": arguments.trials,
                "epochs": arguments.epochs,
                "asha": {"grace_period": 1, "reduction_factor": 3},
                "retraining": {"of": "none"},
            }
        },
    }


def ours(arguments: argparse.Namespace, folder: Path, number: int) -> Side:
    """Returns our side of a round."""
    study_file = folder / "quality.yaml"
    study_file.write_text(yaml.safe_dump(study(arguments, number)))
    options = ["--runs", str(folder / "runs"), "--data-dir", arguments.data_dir, "--workers", str(arguments.workers)]
    command = [sys.executable, "-m", "aesweep.cli", "run", str(study_file), *options, "--quiet"]
    return Side(command, "runs/*/journal.jsonl", journal_value)


def plain(arguments: argparse.Namespace, folder: Path, number: int) -> Side:
    """Returns the rival's side of a round. It draws its learning rates anew each time."""
    options = ["--data-dir", arguments.data_dir, "--folder", str(folder), "--workers", str(arguments.workers)]
    options += ["--trials", str(arguments.trials), "--epochs", str(arguments.plain_epochs)]
    options += ["--rates", *map(str, arguments.rates)]
    command = [sys.executable, str(HERE / "plain_asha_sweep.py"), *options]
    return Side(command, "results/sweep/*/result.json", tune_value)


def journal_value(event: dict[str, Any]) -> float | None:
    """Returns the validation MSE of a row of our journal."""
    return event["validation_mse"] if event["kind"] == "row" else None


def tune_value(result: dict[str, Any]) -> float | None:
    """Returns the validation MSE of a result that Tune has written."""
    return result.get("validation_mse")


SIDES = {"aesweep": ours, "plain": plain}


def measure(side: Side, folder: Path, target: float, limit_s: float) -> Outcome:
    """Runs a side's command until it reaches the target, the limit or its end, and ends all of its processes.

    Raises:
        SystemExit: the command failed by itself.
    """
    # No GPU for anyone, nobody else's cluster, no statistics sent anywhere.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "RAY_USAGE_STATS_ENABLED": "0"}
    environment.pop("RAY_ADDRESS", None)
    records, best, num_records = Records(folder, side.records), math.inf, 0
    with open(folder / "said", "w+b") as said:
        started = time.perf_counter()
        process = subprocess.Popen(
            side.command, cwd=ROOT, env=environment, stdout=said, stderr=said, start_new_session=True
        )
        try:
            while True:
                has_ended = process.poll() is not None  # before what it has written is read
                seconds = time.perf_counter() - started
                for record in records.new():
                    value = side.value_of(record)
                    if value is None:
                        continue
                    num_records += 1
                    best = min(best, value)
                    if best <= target:
                        return Outcome(seconds, best, num_records, True)
                if has_ended or seconds > limit_s:
                    break
                time.sleep(EVERY_S)
        finally:
            end(process)
        if has_ended and process.returncode:
            said.seek(0)
            sys.stderr.write(said.read().decode(errors="replace")[-4000:])
            raise SystemExit(f"{' '.join(side.command)}: ended with {process.returncode}")
    return Outcome(seconds, best, num_records, False)


def end(process: subprocess.Popen) -> None:
    """Ends a process that leads a session: it is asked to end, and what is left of its session then is killed."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    deadline = time.monotonic() + GRACE_S
    while left := session_members(process.pid):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise SystemExit(f"processes {left} cannot be ended")
        time.sleep(EVERY_S)
        process.poll()


def session_members(session: int) -> list[int]:
    """Returns the processes of a session that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(int(path.name))
    return found


def run_rounds(arguments: argparse.Namespace) -> dict[str, list[Outcome]]:
    """Both sides in turn, as often as asked; each round starts with the other side."""
    measured: dict[str, list[Outcome]] = {side: [] for side in arguments.sides}
    for number, name, folder in in_turn(arguments.sides, arguments.rounds, "quality"):
        found = measure(SIDES[name](arguments, folder, number + 1), folder, arguments.target, arguments.limit_s)
        measured[name].append(found)
        how = "reached" if found.is_reached else "not reached"
        print(
            f"round {number + 1}/{arguments.rounds} {name}: {how} after {found.seconds:.1f} s and "
            f"{found.num_records} epochs of all trials, best {found.best:.5f}",
            file=sys.stderr,
            flush=True,
        )
    return measured


def table(measured: dict[str, list[Outcome]]) -> str:
    """A row per side: medians and ranges of its seconds, and how many times as long as ours it took.

    A ratio is the median of the rounds' ratios, since the two sides of a round met the same machine.
    """
    lines = [
        "| side | seconds, median | range | epochs of all trials | best validation MSE | reached | over ours |",
        "|:--|--:|--:|--:|--:|--:|--:|",
    ]
    for side, rounds in measured.items():
        cells = [
            TITLES[side],
            *median_and_range([found.seconds for found in rounds]),
            f"{statistics.median(found.num_records for found in rounds):g}",
            f"{statistics.median(found.best for found in rounds):.5f}",
            f"{sum(found.is_reached for found in rounds)} of {len(rounds)}",
            ratio(rounds, measured.get("aesweep", [])),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ratio(rounds: list[Outcome], reference: list[Outcome]) -> str:
    """Returns how many times as long as the reference a side took: the median over rounds.

    It is a lower bound where the side did not always reach the target, and nothing can be said where the reference did
    not.
    """
    pairs = list(zip(rounds, reference, strict=False))
    if not pairs or not all(other.is_reached for _, other in pairs):
        return "" if rounds is not reference else "1.00"
    middle = statistics.median(mine.seconds / other.seconds for mine, other in pairs)
    return f"{'' if all(mine.is_reached for mine, _ in pairs) else 'more than '}{middle:.2f}"


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_data_dir(parser)
    parser.add_argument("--target", type=float, default=0.0047, help="validation MSE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3, help="our budget, over which the rate is scheduled")
    parser.add_argument("--plain-epochs", type=int, default=50, help="the plain sweep's budget, at a constant rate")
    parser.add_argument("--rates", nargs=2, type=float, default=[5e-4, 5e-3], help="ends of the learning rates")
    parser.add_argument("--precision", default="bf16", help="of our side: fp32 or bf16; the plain sweep has fp32")
    parser.add_argument("--limit-s", type=float, default=1800, help="of one side in one round")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="trials at once, of both")
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES))
    return parser


def main() -> None:
    arguments = parsed_with_mnist(parser())
    measured = run_rounds(arguments)
    print(
        f"until a validation MSE of {arguments.target:g}; {arguments.trials} trials, "
        f"{arguments.epochs} epochs (ours, {arguments.precision}) and {arguments.plain_epochs} (plain); "
        f"{arguments.rounds} rounds"
    )
    print(f"{machine()}\n\n{table(measured)}")


if __name__ == "__main__":
    main()

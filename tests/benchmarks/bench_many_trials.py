"""What many small trials cost: an ASHA stage on the bundled digits, with 100 and with 1,000 trials.

Each size is the whole command in a process of its own. Told are wall time, the driver's and the largest worker's peak
memory, rows a second, and the wall time of a trial beyond training itself: what is left of the stage's time when the
seconds of all epochs, shared by the workers, are taken off.

    python tests/benchmarks/bench_many_trials.py [--sizes 100 1000] [--workers 2] [--trainers 0]

Takes about a minute for 1,000 trials on two idle cores. Prints a markdown table on stdout; nothing is left behind.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from premises import ROOT, machine

from aesweep.cluster.tune.processes import started_processes

SAMPLE_EVERY_S = 0.2


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one run: seconds, bytes, and what the journal counts."""

    num_trials: int
    command_s: float
    stage_s: float
    training_s: float
    num_rows: int
    num_stopped: int
    driver_bytes: int
    worker_bytes: int
    journal_bytes: int

    def beyond_training_s(self, num_workers: int) -> float:
        """Wall time of a trial that is not training."""
        return (self.stage_s - self.training_s / num_workers) / self.num_trials


def study(num_trials: int, trainers: int) -> dict:
    """Two cells, so many trials in them, nine epochs, three rungs, nothing retrained."""
    return {
        "name": "many",
        "datasets": ["digits"],
        "resources": {"trainers": trainers, "gpus_per_trainer": 0},
        "stages": {
            "many": {
                "space": {
                    "hidden_layers": [32],
                    "latent_dim": {"grid": [4, 8]},
                    "learning_rate": {"log_uniform": [5e-4, 2e-2]},
                    "batch_size": 64,
                },
                "table": {"rows": "latent_dim"},
                "samples": num_trials // 2,
                "epochs": 9,
                "asha": {"grace_period": 1, "reduction_factor": 3},
                "retraining": {"of": "none"},
            }
        },
    }


def measure(num_trials: int, workers: int, trainers: int) -> Cost:
    """Runs the study and reads its journal."""
    folder = Path(tempfile.mkdtemp(prefix="bench", dir="/tmp"))
    try:
        path = folder / "many.yaml"
        path.write_text(yaml.safe_dump(study(num_trials, trainers)))
        command = [sys.executable, "-m", "aesweep.cli", "run", str(path), "--runs", str(folder), "--quiet"]
        command += ["--workers", str(workers)]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "RAY_USAGE_STATS_ENABLED": "0"}
        started = time.perf_counter()
        with open(folder / "stderr", "w+b") as messages:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=messages, stderr=messages, start_new_session=True
            )
            peaks = {"driver": 0, "worker": 0}
            while process.poll() is None:
                sample(process.pid, peaks)
                time.sleep(SAMPLE_EVERY_S)
            seconds = time.perf_counter() - started
            if process.returncode:
                messages.seek(0)
                raise SystemExit(f"ended with {process.returncode}: {messages.read().decode()[-3000:]}")
        journal = folder / "many" / "journal.jsonl"
        events = [json.loads(line) for line in journal.read_text().splitlines()]
        rows = [event for event in events if event["kind"] == "row"]
        ends = [event["status"] for event in events if event["kind"] == "trial_ended"]
        if len(ends) != num_trials:
            raise SystemExit(f"expected {num_trials} trials to end, found {len(ends)}")
        (stage_s,) = [e["seconds"] for e in events if e["kind"] == "stage_ended" and e["stage"] == "many"]
        return Cost(
            num_trials,
            seconds,
            stage_s,
            sum(row["seconds"] for row in rows),
            len(rows),
            ends.count("stopped"),
            peaks["driver"],
            peaks["worker"],
            journal.stat().st_size,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sample(driver: int, peaks: dict[str, int]) -> None:
    """Raises the peaks to the high-water marks of the driver's memory and of the largest Ray worker below it."""
    for pid in started_processes():
        path = Path(f"/proc/{pid}")
        try:
            is_worker = (path / "cmdline").read_bytes().startswith(b"ray::")
            if pid != driver and not is_worker:
                continue
            status = (path / "status").read_text()
        except OSError:
            continue
        peak = next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)
        kind = "worker" if is_worker else "driver"
        peaks[kind] = max(peaks[kind], peak)


def table(costs: list[Cost], num_workers: int) -> str:
    """A row for each size."""
    lines = [
        "| trials | stopped | command, s | stage, s | training, core s | rows | rows a second "
        "| beyond training, s a trial | driver, MB | worker, MB | journal, MB |",
        "|--:" * 11 + "|",
    ]
    for cost in costs:
        cells = [
            f"{cost.num_trials:,}",
            str(cost.num_stopped),
            f"{cost.command_s:.1f}",
            f"{cost.stage_s:.1f}",
            f"{cost.training_s:.1f}",
            f"{cost.num_rows:,}",
            f"{cost.num_rows / cost.stage_s:.1f}",
            f"{cost.beyond_training_s(num_workers):.3f}",
            f"{cost.driver_bytes / 1e6:.0f}",
            f"{cost.worker_bytes / 1e6:.0f}",
            f"{cost.journal_bytes / 1e6:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000], help="numbers of trials, even")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--trainers", type=int, default=0, help="trainers on CPU cores; 0: trials train themselves")
    arguments = parser.parse_args()
    if any(size < 2 or size % 2 for size in arguments.sizes):
        parser.error(f"--sizes: expected even numbers, got {arguments.sizes}")
    costs = []
    for size in arguments.sizes:
        costs.append(measure(size, arguments.workers, arguments.trainers))
        load = " ".join(f"{value:.1f}" for value in os.getloadavg())
        print(f"{size} trials: {costs[-1].command_s:.1f} s, load averages {load}", file=sys.stderr, flush=True)
    print(f"{machine()}\n{arguments.workers} workers, {arguments.trainers} trainers\n")
    print(table(costs, arguments.workers))


if __name__ == "__main__":
    main()

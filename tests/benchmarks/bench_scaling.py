"""How large a cluster one driver keeps busy: the driver's cost of a trial and of a row, with nothing trained.

Everything in the driver's process is real: Ray Tune's controller, the scheduler, ASHA, the recorder and the journal on
disk. Three things can stand on the other side:

- simulated: trials without processes, whose next bundle is always there. So the driver is the bottleneck at any number
  of live trials, and what Ray takes to carry a row between processes is missing.
- carried: real trial processes that ask real trainer actors, in which an epoch takes no time. So carrying is counted,
  and the number of processes is limited by this machine. Bundles end at a rung and where they are full.
- recorded: nothing, not even Tune. The rows are there, and go to the recorder, the journal and the progress alone.

    python tests/benchmarks/bench_scaling.py [--gpus 16 128 1024] [--processes 4 8 16] [--rows 40000] [--rung 0]

Each line is a run in a process of its own, in which all trials are live before the first row is taken. Prints a
markdown table on stdout; nothing is left behind.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from premises import ROOT, machine
from simulated_actors import SimulatedActors, Watch, row

from aesweep.search.trial_row import TrialRow

TRIALS_PER_GPU = 16
EPOCHS, RUNG = 20, 10  # of simulated trials: every trial trains up to the rung, one in two beyond it
ROW_ON_GPU_S = 469 * 28e-6 / 0.6  # an epoch of 60,000 images by 128 on an H200 at 60 % of its fp32 floor; assumed


def instant_trainer() -> type:
    """Returns a trainer in which an epoch of all trials takes no time, and all else is the real one's."""
    from aesweep.cluster.tune.trainer import Trainer

    class InstantTrainer(Trainer):
        def __init__(self) -> None:
            super().__init__()
            self._made: dict[Any, int] = {}

        def _step(self, left: list[Any], ready: dict[Any, int]) -> list[tuple[Any, TrialRow]]:
            for seat in left:
                self._made.pop(seat, None)
            training = [seat for seat in ready if self._made.get(seat, 0) < seat.spec.epochs]
            for seat in training:
                self._made[seat] = self._made.get(seat, 0) + 1
            return [(seat, row(seat.spec, self._made[seat])) for seat in training]

    return InstantTrainer


def study(num_trials: int, num_trainers: int, trials_per_trainer: int, epochs: int, rung: int) -> dict[str, Any]:
    return {
        "name": "scaling",
        "datasets": ["digits"],
        "resources": {"trainers": num_trainers, "gpus_per_trainer": 0, "trials_per_trainer": trials_per_trainer},
        "stages": {
            "search": {
                "space": {"hidden_layers": [16], "latent_dim": 4, "learning_rate": {"log_uniform": [1e-3, 1e-2]}},
                "table": {"rows": "latent_dim"},
                "samples": num_trials,
                "epochs": epochs,
                "asha": {"grace_period": rung, "reduction_factor": 2},
                "retraining": {"of": "none"},
            }
        },
    }


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one run. Of a row: while all trials are live. Of a trial: all the rest of the search."""

    kind: str
    num_trials: int
    num_rows: int
    rows_per_s: float
    row_cpu_s: float
    trial_s: float
    trial_cpu_s: float
    peak_bytes: int


def measure(kind: str, num_trials: int, num_rows: int, rung: int) -> Cost:
    """Runs a search in this process, whose peak memory is then that of a driver.

    Args:
        kind: "simulated" or "carried".
        num_trials: all of which are live at once.
        num_rows: that all carried trials would give if none were stopped.
        rung: of the carried trials; 0 for half their epochs.
    """
    from ray.tune.execution import tune_controller
    from rich.console import Console

    import aesweep.cluster.tune.trainer as trainer
    import aesweep.run.driver as run_module
    from aesweep.cluster.runner import Cluster
    from aesweep.cluster.tune.scheduler import RecordingScheduler
    from aesweep.process.signals import Interruption
    from aesweep.run.callbacks.progress import Progress
    from aesweep.run.settings import RunSettings
    from aesweep.run.steps import Steps
    from aesweep.storage.run_folder import RunFolder
    from aesweep.storage.run_state import RunState
    from aesweep.study.inputs import load_images
    from aesweep.study.study_file import load_study

    is_simulated = kind == "simulated"
    watch = Watch()
    if is_simulated:
        tune_controller.RayActorManager = lambda resource_manager: SimulatedActors(watch)
        Cluster._started_trainers = lambda self, resources: []
        Cluster.check_room = lambda self, resources: None
        num_trainers, per_trainer, epochs, rung = num_trials // TRIALS_PER_GPU, TRIALS_PER_GPU, EPOCHS, RUNG
    else:
        trainer.Trainer = instant_trainer()
        taken = RecordingScheduler.on_trial_result

        def on_trial_result(self: Any, controller: Any, trial: Any, result: dict[str, Any]) -> str:
            watch.see(len(controller._running_trials), len(result["rows"]))
            return taken(self, controller, trial, result)

        RecordingScheduler.on_trial_result = on_trial_result
        num_trainers, per_trainer, epochs = 2, -(-num_trials // 2), num_rows // num_trials
        rung = rung or epochs // 2
    with tempfile.TemporaryDirectory(prefix="bench", dir="/tmp") as folder:
        path = Path(folder) / "scaling.yaml"
        path.write_text(yaml.safe_dump(study(num_trials, num_trainers, per_trainer, epochs, rung)))
        loaded = load_study(path)
        run = run_module.Run(
            loaded,
            RunFolder.create(Path(folder), "run"),
            load_images(loaded, None, download=False),
            RunState(),
            RunSettings(num_workers=2),
            Interruption(),
            callbacks=[Progress(Console(stderr=True), quiet=True)],
        )
        spent = {}
        search = Steps.search

        def timed(*arguments: Any) -> None:
            before = time.perf_counter(), time.process_time()
            search(*arguments)
            spent.update(s=time.perf_counter() - before[0], cpu_s=time.process_time() - before[1])

        Steps.search = timed
        run.execute(["bench_scaling"])
        events = [json.loads(line) for line in (Path(folder) / "run" / "journal.jsonl").read_text().splitlines()]
    num_rows = sum(event["kind"] == "row" for event in events)
    ended = sum(event["kind"] == "trial_ended" for event in events)
    if ended != num_trials or len(watch.bundles) < 2:
        raise SystemExit(f"expected {num_trials} trials to end and their rows, found {ended}, {len(watch.bundles)}")
    each, each_cpu = watch.row_cost()
    return Cost(
        kind,
        num_trials,
        num_rows,
        1 / each,
        each_cpu,
        (spent["s"] - num_rows * each) / num_trials,
        (spent["cpu_s"] - num_rows * each_cpu) / num_trials,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def measure_recorded(num_trials: int, num_rows: int) -> Cost:
    """Records rows that are there already, of trials in turn; no trial is stopped."""
    from rich.console import Console

    from aesweep.run.callbacks.progress import Progress
    from aesweep.run.record import Record
    from aesweep.search.recorder import Recorder
    from aesweep.search.stages import opening_events, segments
    from aesweep.storage.run_folder import RunFolder
    from aesweep.storage.run_state import RunState
    from aesweep.study.study_file import load_study

    epochs = num_rows // num_trials
    with tempfile.TemporaryDirectory(prefix="bench", dir="/tmp") as folder:
        path = Path(folder) / "scaling.yaml"
        path.write_text(yaml.safe_dump(study(num_trials, 1, num_trials, epochs, epochs)))
        progress = Progress(Console(stderr=True), quiet=True)
        with Record(RunFolder.create(Path(folder), "run"), RunState(), [progress]) as record:
            parts = segments(load_study(path), record.state, "search")
            for event in opening_events(parts):
                record.add(event)
            recorder = Recorder(record.add, "validation_mse", {}, record.state.trials)
            for spec in parts[0].specs:
                recorder.open(spec)
            rows = [(spec, row(spec, epoch)) for epoch in range(1, epochs) for spec in parts[0].specs]
            before = time.perf_counter(), time.process_time()
            for spec, each in rows:
                recorder.take(spec, each, 1.0)
            seconds, cpu_s = time.perf_counter() - before[0], time.process_time() - before[1]
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Cost("recorded", num_trials, len(rows), len(rows) / seconds, cpu_s / len(rows), 0.0, 0.0, peak_bytes)


def table(costs: list[Cost]) -> str:
    lines = [
        "| trials | live trials | GPUs | rows | rows a second | driver's CPU a row, ms | a trial, ms "
        "| driver's CPU a trial, ms | driver's peak memory, MB | GPUs kept busy |",
        "|---|" + "--:|" * 9,
    ]
    for cost in costs:
        cells = [
            cost.kind,
            f"{cost.num_trials:,}",
            f"{cost.num_trials // TRIALS_PER_GPU:,}" if cost.kind == "simulated" else "",
            f"{cost.num_rows:,}",
            f"{cost.rows_per_s:,.0f}",
            f"{1e3 * cost.row_cpu_s:.2f}",
            f"{1e3 * cost.trial_s:.1f}",
            f"{1e3 * cost.trial_cpu_s:.1f}",
            f"{cost.peak_bytes / 1e6:,.0f}",
            f"{cost.rows_per_s * ROW_ON_GPU_S:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gpus", type=int, nargs="*", default=[16, 128, 1024], help="of the simulated clusters")
    parser.add_argument("--processes", type=int, nargs="*", default=[4, 8, 16], help="trial processes on this machine")
    parser.add_argument("--rows", type=int, default=40_000, help="of all carried trials together")
    parser.add_argument("--rung", type=int, default=0, help="of the carried trials; 0 for half their epochs")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "TRIALS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kind, num_trials = arguments.one
        if kind == "recorded":
            cost = measure_recorded(int(num_trials), arguments.rows)
        else:
            cost = measure(kind, int(num_trials), arguments.rows, arguments.rung)
        print(json.dumps(dataclasses.asdict(cost)))
        return
    wanted = [("simulated", TRIALS_PER_GPU * gpus) for gpus in arguments.gpus]
    wanted += [("carried", processes) for processes in arguments.processes]
    wanted.append(("recorded", TRIALS_PER_GPU))
    costs = []
    for kind, num_trials in wanted:
        command = [sys.executable, __file__, "--one", kind, str(num_trials)]
        command += ["--rows", str(arguments.rows), "--rung", str(arguments.rung)]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "RAY_USAGE_STATS_ENABLED": "0"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{kind}, {num_trials} trials: {done.stderr[-3000:]}")
        costs.append(Cost(**json.loads(done.stdout.splitlines()[-1])))
        print(f"{kind}, {num_trials} trials: load averages {os.getloadavg()}", file=sys.stderr, flush=True)
    print(f"{machine()}\nA GPU is taken to give a row every {1e3 * ROW_ON_GPU_S:.0f} ms.\n")
    print(table(costs))


if __name__ == "__main__":
    main()

"""What an export costs: CPU seconds of a made-up run of many trials of 27 epochs, which lies in memory already.

python tests/benchmarks/bench_exports.py [--trials 1000] [--to optuna parquet]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from premises import ROOT, machine

from aesweep.export.registry import FORMATS
from aesweep.results import LoadedRun, load_run
from aesweep.results.frames import FRAMES
from aesweep.storage.run_folder import RunFolder

sys.path.append(str(ROOT / "tests" / "report"))


class Unseen:
    """Steps that nobody sees."""

    def begin(self, title: str, total: int) -> None:
        pass

    def advance(self, count: int = 1) -> None:
        pass


def made_run(num_trials: int, folder: Path) -> LoadedRun:
    from many_trials import many_trials
    from synthetic import write_events

    events = [{key: event[key] for key in event if key not in ("seq", "time")} for event in many_trials(num_trials)]
    run = load_run(write_events(RunFolder(folder), events).root)
    for name in FRAMES:
        run.frame(name)
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--to", nargs="+", choices=list(FORMATS), default=["parquet", "optuna"])
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="exports") as folder:
        run = made_run(arguments.trials, Path(folder) / "run")
        for name in arguments.to:
            exporter = FORMATS[name].exporter(Path(folder) / name)
            started = time.process_time()
            exporter.write(run, Unseen())
            print(f"{name}: {arguments.trials:,} trials in {time.process_time() - started:.2f} CPU seconds")


if __name__ == "__main__":
    main()

"""What the record costs: reading 10,000 rows, and what writing a finished run's journal and states took of its time.

    python tests/benchmarks/bench_journal.py RUN

Appends RUN's events once more, into a journal of its own beside RUN, in their order and with their syncs; and writes as
many states as its trials kept at rungs, of the size of the largest model. Trials write states on their own workers, so
that their share is divided among them. Medians of 5.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from aesweep.run.preflight.work import model_bytes
from aesweep.storage.atomic_file import write_whole
from aesweep.storage.journal import Journal, read_journal
from aesweep.study.configuration import Configuration

ROUNDS = 5


def main(run: Path) -> None:
    events = read_journal(run / "journal.jsonl")
    with tempfile.TemporaryDirectory(dir=run.parent) as folder:
        print(f"10,000 rows read: {_median(lambda: _read_rows(Path(folder))):.3f} s of a processor")
        appending = _median(lambda: _append(Path(folder), events))
        states = _state_sizes(events)
        writing = _median(lambda: _write(Path(folder), states))
    start = events[0]
    wall = sum(event["seconds"] for event in events if event["kind"] == "run_ended")
    share = (appending + writing / start["num_workers"]) / wall
    print(f"{len(events)} events appended: {appending:.3f} s; {len(states)} states written: {writing:.3f} s")
    print(f"the run took {wall:.1f} s on {start['num_workers']} workers: {100 * share:.2f} % for record and states")


def _median(work) -> float:
    times = []
    for _ in range(ROUNDS):
        times.append(work())
    return statistics.median(times)


def _read_rows(folder: Path) -> float:
    path = folder / "rows.jsonl"
    if not path.exists():
        with Journal(path) as journal:
            for epoch in range(10_000):
                journal.append("row", trial="architecture-mnist-0001", epoch=epoch, loss=0.1 / 3, training_mse=0.1 / 3,
                               validation_mse=0.1 / 3, validation_psnr_db=10 / 3, learning_rate=0.001 / 3,
                               seconds=1 / 3, per_seed=[0.1 / 3])  # fmt: skip
    # Of the processor's time, so that a busy machine does not count.
    started = time.process_time()
    assert len(read_journal(path)) == 10_000
    return time.process_time() - started


def _append(folder: Path, events: list[dict]) -> float:
    path = folder / "again.jsonl"
    path.unlink(missing_ok=True)
    started = time.perf_counter()
    with Journal(path) as journal:
        for event in events:
            journal.append(event["kind"], **{k: v for k, v in event.items() if k not in ("seq", "kind", "time")})
    return time.perf_counter() - started


def _state_sizes(events: list[dict]) -> list[int]:
    """Bytes of the states that trials kept at rungs: parameters and two moments of each member."""
    rungs = {event["stage"]: event["rungs"] for event in events if event["kind"] == "stage_started"}
    shapes = {name: facts["shape"] for name, facts in events[0]["datasets"].items()}
    sizes = []
    last = {event["trial"]: event["epoch"] for event in events if event["kind"] == "row"}
    for event in events:
        if event["kind"] == "trial_created":
            channels, rows, columns = shapes[event["dataset"]]
            one = model_bytes(Configuration.from_dict(event["configuration"]), channels * rows * columns)
            reached = [rung for rung in rungs[event["stage"]] if rung < last.get(event["trial"], 0)]
            sizes += [3 * one * len(event["seeds"])] * len(reached)
    return sizes


def _write(folder: Path, sizes: list[int]) -> float:
    started = time.perf_counter()
    for size in sizes:
        write_whole(folder / "state", bytes(size))
    return time.perf_counter() - started


if __name__ == "__main__":
    main(Path(sys.argv[1]))

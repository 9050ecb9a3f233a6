"""All replays that are wanted, of which those that a file holds already are not made again."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from samplers.contest import Outcome, outcome
from samplers.curve_tables import CurveTable, load_table

SHARES = (0.05, 0.1, 0.2, 0.4)  # budgets, as shares of all epochs of the table
NUM_POINTS = 80  # of a curve


@dataclasses.dataclass(frozen=True)
class Task:
    """One replay.

    Attributes:
        table: the table's name.
        searcher: the searcher's.
        with_cells: whether the best of every cell is looked for.
        num_workers: number of trials that are trained at once.
        seed: the searcher's.
        share: the budget, as a share of all epochs of the table.
    """

    table: str
    searcher: str
    with_cells: bool
    num_workers: int
    seed: int
    share: float


def budgets(table: CurveTable, most: float) -> list[int]:
    """Returns the budgets in epochs, up to a share of the table's."""
    return [round(share * table.errors.size) for share in SHARES if share <= most]


def points(table: CurveTable, most: float) -> list[int]:
    """Returns the epochs at which curves are told: equal ratios, and all budgets."""
    last = round(most * table.errors.size)
    spaced = np.geomspace(table.errors.shape[1], last, NUM_POINTS).astype(int)
    return sorted({*spaced.tolist(), last, *budgets(table, most)})


def run(task: Task, table: CurveTable) -> Outcome:
    """Makes one replay."""
    budget = round(task.share * table.errors.size)
    at = points(table, task.share)
    return outcome(table, task.searcher, task.with_cells, task.num_workers, task.seed, budget, at)


def outcomes(tasks: Sequence[Task], folder: Path, file: Path, num_processes: int) -> dict[Task, Outcome]:
    """Returns the outcome of each task, and adds those that are new to a file, one line each.

    Args:
        tasks: what is wanted, in the order in which it is made.
        folder: of tables.
        file: holds outcomes of one state of the code; begin another file where searchers have changed.
        num_processes: number of replays at once.
    """
    known = kept(file)
    left = [task for task in tasks if task not in known]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        for number, (task, found) in enumerate(_made(left, folder, num_processes), start=1):
            known[task] = found
            lines.write(json.dumps({"task": dataclasses.asdict(task), "outcome": dataclasses.asdict(found)}) + "\n")
            lines.flush()
            if number % 50 == 0 or number == len(left):
                print(f"{number} of {len(left)} replays", file=sys.stderr, flush=True)
    return {task: known[task] for task in tasks}


def kept(file: Path) -> dict[Task, Outcome]:
    """Returns what a file of outcomes holds; nothing where there is none."""
    return dict(_read(file))


def _read(file: Path) -> Iterator[tuple[Task, Outcome]]:
    for line in file.read_text().split("\n") if file.exists() else []:
        try:
            values = json.loads(line)
        except ValueError:
            continue  # the last line of a command that was killed
        yield Task(**values["task"]), Outcome(**values["outcome"])


def _made(tasks: Sequence[Task], folder: Path, num_processes: int) -> Iterator[tuple[Task, Outcome]]:
    if num_processes == 1:
        tables = {name: load_table(folder, name) for name in {task.table for task in tasks}}
        yield from ((task, run(task, tables[task.table])) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(num_processes, mp_context=context) as pool:
        made = {pool.submit(_run_there, task, folder): task for task in tasks}
        for future in concurrent.futures.as_completed(made):
            yield made[future], future.result()


_tables: dict[str, CurveTable] = {}


def _run_there(task: Task, folder: Path) -> Outcome:
    if task.table not in _tables:
        _tables[task.table] = load_table(folder, task.table)
    return run(task, _tables[task.table])

"""Compares a run with a reference: what differs between them, and which of their values do.

Verdicts hold for the page as a whole: two runs that differ in nothing but what seeds decide get one wrong "differs" in
5 of 100 comparisons at most. Retrained winners, tables as a whole, and cells are a family of tests each, corrected
after Holm. The winners have 3 of the 5 %, since test values were chosen by nobody and have seeds of their own, and the
others 1 each; a family without tests leaves its part to the others. Beyond two runs, each is compared with the first
on its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from aesweep.process.progress_bar import Follow, unfollowed
from aesweep.report.analysis.significance import TTest, holm
from aesweep.report.comparison.cells import draws_anew, stage_tables
from aesweep.report.comparison.refusal import check_comparable
from aesweep.report.comparison.settings import (
    dataset_pairs,
    environment_differences,
    record_differences,
    searched_fields,
    seed_sets,
    study_differences,
)
from aesweep.report.comparison.types import Comparison, Row, StageTable
from aesweep.report.comparison.winners import winner_rows
from aesweep.report.rows.reader import read_run
from aesweep.report.rows.types import Run
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState

WEIGHTS = (3, 1, 1)  # of winners, tables and cells among the 5 %
OVER = ("completed", "failed")  # the statuses of runs to which nothing is added unless it is asked for


def compare_all(folders: Sequence[RunFolder], follow: Follow = unfollowed) -> list[Comparison]:
    """Returns the comparison of each run with the first one; raises as `compare`, and JournalError.

    Args:
        folders: the runs.
        follow: called before each run is read, and before each comparison.
    """
    names, num_parts = run_names(folders), 2 * len(folders) - 1
    runs, found = [], []
    for folder, name in zip(folders, names, strict=True):
        follow(f"reading {name}", len(runs), num_parts)
        runs.append(read_run(RunState.read(folder.journal)))
    for run, name in zip(runs[1:], names[1:], strict=True):
        follow(f"comparing {name}", len(runs) + len(found), num_parts)
        found.append(compare(runs[0], run, (names[0], name)))
    return found


def run_names(folders: Sequence[RunFolder]) -> list[str]:
    """Returns the name of each run's folder, or its path where several have one name."""
    names = [folder.root.resolve().name for folder in folders]
    return [name if names.count(name) == 1 else str(folder.root) for name, folder in zip(names, folders, strict=True)]


def compare(reference: Run, other: Run, names: tuple[str, str]) -> Comparison:
    """Returns the comparison of a run with a reference. Either may be unfinished; what it has is compared.

    Args:
        reference, other: the runs.
        names: what they are called.

    Raises:
        ComparisonError: they have no values that can be compared.
    """
    check_comparable(reference, other, names)
    runs = reference, other
    tables, winners = stage_tables(runs), winner_rows(runs)
    whole = [table.overall.test if table.overall else None for table in tables]
    cells = [row.test for table in tables for row in table.rows]
    adjusted = _adjusted([row.test for row in winners], whole, cells)
    searched = searched_fields(reference) | searched_fields(other)
    return Comparison(
        *names,
        tuple((name, run.status) for name, run in zip(names, runs, strict=True) if run.status not in OVER),
        study_differences(*runs),
        record_differences(*runs),
        environment_differences(*runs),
        dataset_pairs(*runs),
        seed_sets(*runs),
        draws_anew(runs),
        tuple(_judged_tables(tables, *adjusted[1:])),
        tuple(row.judged(p, searched) for row, p in zip(winners, adjusted[0], strict=True)),
    )


def as_values(comparison: Comparison) -> dict[str, Any]:
    """Returns a comparison as plain values for a script; cells are mappings from axes to values."""
    return _plain(comparison)


def _adjusted(*families: Sequence[TTest | None]) -> list[list[float | None]]:
    """Returns the p-values of the families in `WEIGHTS`, each corrected for its own tests and its share of the 5 %.

    Values that agree to the last digit, whose p-value is 1, come from the same computation: they are no test that could
    fail, and do not count.
    """
    known = [[None if test is None or test.p_value == 1.0 else test.p_value for test in family] for family in families]
    weights = [
        weight if any(p is not None for p in p_values) else 0 for weight, p_values in zip(WEIGHTS, known, strict=True)
    ]
    adjusted = [
        holm(p_values, weight / sum(weights) if weight else 1.0)
        for weight, p_values in zip(weights, known, strict=True)
    ]
    return [
        [1.0 if p is None and test is not None else p for p, test in zip(p_values, family, strict=True)]
        for p_values, family in zip(adjusted, families, strict=True)
    ]


def _judged_tables(
    tables: Sequence[StageTable], whole: Sequence[float | None], cells: Sequence[float | None]
) -> Iterator[StageTable]:
    """Yields the tables with verdicts. What the search draws and chooses is in the spread by which they are judged."""
    of_cells = iter(cells)
    for table, p in zip(tables, whole, strict=True):
        rows = tuple(row.judged(next(of_cells), frozenset()) for row in table.rows)
        yield dataclasses.replace(table, rows=rows, overall=table.overall and table.overall.judged(p))


def _plain(value: Any, key: str = "") -> Any:
    if dataclasses.is_dataclass(value):
        found = {field.name: _plain(getattr(value, field.name), field.name) for field in dataclasses.fields(value)}
        if isinstance(value, Row):
            found["difference"] = value.difference
        return found
    if key == "cell":
        return {axis: _plain(part) for axis, part in value}
    if key == "missing":
        return [{"cell": _plain(cell, "cell"), "reason": reason} for cell, reason in value]
    if key == "unfinished":
        return [{"run": name, "status": status} for name, status in value]
    return [_plain(part) for part in value] if isinstance(value, (tuple, list)) else value

"""Refuses runs that cannot be compared: other images, another metric, or nothing that both of them have."""

from __future__ import annotations

from aesweep.process.errors import ComparisonError
from aesweep.report.rows.types import Run


def check_comparable(reference: Run, other: Run, names: tuple[str, str]) -> None:
    """Raises ComparisonError, in one line, if two runs have no values that may stand side by side.

    Args:
        reference, other: the runs.
        names: what messages call them.
    """
    for run, name in zip((reference, other), names, strict=True):
        if not run.study:
            raise ComparisonError(f"{name}: nothing was recorded yet: compare it once a stage has begun")
    common = [name for name in reference.datasets if name in other.datasets]
    if not common:
        raise ComparisonError(
            f"{names[1]} has no data set of {names[0]}: expected one of {_listed(reference.datasets)}, "
            f"got {_listed(other.datasets)}"
        )
    for dataset in common:
        first, second = (run.datasets[dataset].get("sha256") for run in (reference, other))
        if first != second:
            raise ComparisonError(
                f"data set {dataset!r} of {names[1]} has other images than that of {names[0]}: expected sha256 "
                f"{str(first)[:12]}..., got {str(second)[:12]}...: only values on the same images can be compared"
            )
    stages = [name for name in reference.stages if name in other.stages]
    for stage in stages:
        first, second = ((run.stages[stage].metric, run.stages[stage].mode) for run in (reference, other))
        if first != second:
            raise ComparisonError(
                f"stage {stage!r} of {names[1]} is judged by another metric than that of {names[0]}: expected "
                f"{first[0]} ({first[1]}), got {second[0]} ({second[1]}): only values of one metric can be compared"
            )
    if not stages:
        raise ComparisonError(
            f"{names[1]} has no stage of {names[0]}: expected one of {_listed(reference.stages)}, "
            f"got {_listed(other.stages)}"
        )
    for stage in stages:
        cells = [{(d, frozenset(cell)) for d, cell in run.stages[stage].winners} for run in (reference, other)]
        if any(dataset in common for dataset, _ in cells[0] & cells[1]):
            return
    raise ComparisonError(
        f"{names[1]} has no cell of {names[0]}: the tables of {_listed(stages)} have other axes or other values on "
        "them: compare runs whose tables have a row and a column in common"
    )


def _listed(names: object) -> str:
    return ", ".join(names) or "none"

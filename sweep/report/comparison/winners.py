"""The retrained winners of two runs side by side, on the test images, which both runs have in common.

Each winner was retrained with several seeds, so Welch's test needs no assumption beyond them. Where the two
configurations agree in all that was searched, it tells whether the two runs differ. Where they do not, it tells whether
the two models do: a seed decides by a hair which of several trials wins, also in runs of one study.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from aesweep.report.analysis.frames import QUANTITY, retrained_as
from aesweep.report.analysis.significance import welch
from aesweep.report.comparison.cells import Runs, changed_fields, side
from aesweep.report.comparison.types import Basis, Row, Side
from aesweep.report.rows.types import Cell, Retraining, Run, Stage, Trial


def winner_rows(runs: Runs) -> list[Row]:
    """Returns a row for each pair of retrained winners, with verdicts still to come.

    Pairs are the winners of cells that both runs retrained, and the best of them of each stage where it is in another
    cell. Of winners that were retrained with different numbers of epochs, the longest count. Retrainings that stand
    for the winners of several stages in both runs have one row.
    """
    rows: dict[tuple, Row] = {}
    for name, stage in runs[0].stages.items():
        if name not in runs[1].stages:
            continue
        stages = stage, runs[1].stages[name]
        for dataset in stage.datasets:
            for pair in _pairs(runs, stages, dataset):
                row = _row(runs, stages, dataset, pair)
                if row is None:
                    continue
                key = (row.quantity, row.reference.trials, row.other.trials)
                known = rows.get(key)
                if known is not None:
                    row = dataclasses.replace(known, stages=tuple(dict.fromkeys([*known.stages, name])))
                rows[key] = row
    return list(rows.values())


def _pairs(runs: Runs, stages: tuple[Stage, Stage], dataset: str) -> Iterator[tuple[Trial, Trial]]:
    retrained = [_retrained(run, stage, dataset) for run, stage in zip(runs, stages, strict=True)]
    common = [cell for cell in retrained[0] if cell in retrained[1]]
    for cell in common:
        yield retrained[0][cell], retrained[1][cell]
    best = [stage.best_of(found.values()) for stage, found in zip(stages, retrained, strict=True)]
    if None not in best and frozenset(best[0].cell) != frozenset(best[1].cell):
        yield best[0], best[1]


def _retrained(run: Run, stage: Stage, dataset: str) -> dict[frozenset, Trial]:
    """Returns the winners of a stage's cells that were to be retrained and have a result, by cell."""
    asked = {trial for retraining in run.retrainings for name, _, trial in retraining.serves if name == stage.name}
    cells: dict[Cell, Trial | None] = stage.cells(dataset)
    return {
        frozenset(cell): winner
        for cell, winner in cells.items()
        if winner is not None and winner.name in asked and retrained_as(run, winner)
    }


def _row(runs: Runs, stages: tuple[Stage, Stage], dataset: str, pair: tuple[Trial, Trial]) -> Row | None:
    quantity = QUANTITY[stages[0].metric]
    sides, values = [], []
    for run, stage, trial in zip(runs, stages, pair, strict=True):
        retrained = [r for r in retrained_as(run, trial) if _value(r, quantity) is not None]
        if not retrained:
            return None
        values.append([_value(retraining, quantity) for retraining in retrained])
        sides.append(_retrained_side(stage, trial, retrained, values[-1]))
    test = welch(*values)
    return Row(
        dataset,
        (stages[0].name,),
        quantity,
        stages[0].mode,
        *sides,
        changed_fields(pair[0].configuration, pair[1].configuration),
        Basis.WELCH if test else Basis.NONE,
        test,
    )


def _value(retraining: Retraining, quantity: str) -> float | None:
    return getattr(retraining.result, f"test_{quantity}")


def _retrained_side(stage: Stage, trial: Trial, retrained: list[Retraining], values: list[float]) -> Side:
    return dataclasses.replace(
        side(stage, trial),
        value=sum(values) / len(values),
        seeds=tuple(retraining.trial.seeds[0] for retraining in retrained),
        trials=tuple(retraining.trial.name for retraining in retrained),
        epochs=retrained[0].trial.budget,
    )

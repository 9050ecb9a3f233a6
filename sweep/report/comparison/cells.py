"""The cells of two runs side by side."""

from __future__ import annotations

import dataclasses
import math

from aesweep.report.analysis.frames import QUANTITY
from aesweep.report.comparison.noise import Noise, additive, noise_of
from aesweep.report.comparison.overall import overall
from aesweep.report.comparison.types import Basis, Row, Side, StageTable
from aesweep.report.rows.types import Cell, Run, Stage, Trial
from aesweep.study.configuration import Configuration

Runs = tuple[Run, Run]  # the reference and the other


def stage_tables(runs: Runs) -> list[StageTable]:
    """Returns a table for each stage and data set that both runs have, with verdicts still to come."""
    first, second = runs
    return [
        _table(runs, (stage, second.stages[name]), dataset)
        for name, stage in first.stages.items()
        if name in second.stages
        for dataset in stage.datasets
        if dataset in second.stages[name].datasets
    ]


def changed_fields(reference: Configuration, other: Configuration) -> tuple[str, ...]:
    """Returns the fields in which two configurations differ."""
    names = (field.name for field in dataclasses.fields(Configuration))
    return tuple(name for name in names if getattr(reference, name) != getattr(other, name))


def draws_anew(runs: Runs) -> bool:
    """Returns whether the two studies have different seeds, from which a search draws its configurations."""
    return runs[0].study.get("seed") != runs[1].study.get("seed")


def _table(runs: Runs, stages: tuple[Stage, Stage], dataset: str) -> StageTable:
    quantity = QUANTITY[stages[0].metric]
    cells = tuple(
        {frozenset(cell): (cell, winner) for cell, winner in stage.cells(dataset).items()} for stage in stages
    )
    pairs, missing = [], []
    for key in dict.fromkeys([*cells[0], *cells[1]]):
        known = [found.get(key) for found in cells]
        reason = _absent(known)
        if reason:
            missing.append((next(found[0] for found in known if found), reason))
        else:
            pairs.append((known[0][1], known[1][1]))
    anew = draws_anew(runs)
    other_images = anew or _validation(runs[0], stages[0]) != _validation(runs[1], stages[1])
    noise = noise_of(runs, stages, dataset, quantity, other_images)
    tests = noise.tests(pairs, stages[0].metric)
    rows = tuple(
        Row(
            dataset,
            (stages[0].name,),
            quantity,
            stages[0].mode,
            *(side(stage, trial) for stage, trial in zip(stages, pair, strict=True)),
            changed_fields(pair[0].configuration, pair[1].configuration),
            basis,
            test,
        )
        for pair, (test, basis) in zip(pairs, tests, strict=True)
    )
    return StageTable(
        stages[0].name,
        dataset,
        quantity,
        tuple(axis for axis in (stages[0].rows, stages[0].columns) if axis),
        rows,
        overall(noise, pairs, stages[0].metric, stages[0].mode),
        tuple(missing),
        noise.basis if any(row.test for row in rows) else Basis.NONE,
        _deviation(noise, rows),
        other_images,
        any(stage.seconds is None for stage in stages),
    )


def _absent(known: list[tuple[Cell, Trial | None] | None]) -> str:
    """Returns why a cell is not compared; empty if both runs have a winner in it."""
    for found, name in zip(known, ("the reference", "the other run"), strict=True):
        if found is None:
            return f"{name} has no such cell"
    lacking = [found[1] is None for found in known]
    if all(lacking):
        return "no trial of either was trained to its end"
    name = "the reference" if lacking[0] else "the other run"
    return f"no trial of {name} was trained to its end" if any(lacking) else ""


def _validation(run: Run, stage: Stage) -> tuple[object, ...]:
    """Returns what decides which images of a data set are validated on, beside the data set and the seed."""
    return run.study.get("validation_fraction"), stage.validation_images


def side(stage: Stage, trial: Trial) -> Side:
    """Returns what a winner of a cell reached in the search."""
    rivals = [other for other in stage.trials if (other.dataset, other.cell) == (trial.dataset, trial.cell)]
    return Side(trial.value(stage.metric), trial.seeds, (trial.name,), trial.cell, trial.last.epoch, len(rivals))


def _deviation(noise: Noise, rows: tuple[Row, ...]) -> float | None:
    if noise.spread is not None:
        return noise.spread.deviation
    pairs = [(additive(row.reference.value, row.quantity), additive(row.other.value, row.quantity)) for row in rows]
    differences = [b - a for a, b in pairs if a is not None and b is not None]
    if noise.basis is not Basis.CELLS or not differences:
        return None
    return math.sqrt(sum(value**2 for value in differences) / len(differences))

"""The tables of learning curves that searches are replayed on: what is recorded of which data, and how it is read.

A table is a stage of a study in which all axes are grids, trained to the end by the project's own engine. Its file
holds its definition, then a line of JSON for each configuration, so that recording may be killed at any instant and
goes on.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from samplers.search_axes import IntervalAxis, ListedAxis, SearchAxis

from aesweep.search.stages import stage_trials
from aesweep.search.trial_spec import TrialSpec
from aesweep.study.configuration import Configuration
from aesweep.study.schema import Study

STAGE = "table"


@dataclasses.dataclass(frozen=True)
class TableDefinition:
    """What a table records.

    Attributes:
        name: the table's name, and its file's.
        dataset: name of the data set.
        cells: the axes that make cells.
        drawn: the axes that are drawn in every cell.
        epochs: epochs of each configuration.
        fixed: further fields of all configurations.
        study: further settings of the study.
        stage: further settings of its stage.
    """

    name: str
    dataset: str
    cells: tuple[ListedAxis, ...]
    drawn: tuple[IntervalAxis, ...]
    epochs: int = 27
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    study: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stage: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def axes(self) -> tuple[SearchAxis, ...]:
        """All axes, those of the cells first."""
        return (*self.cells, *self.drawn)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of values of each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    def recorded(self) -> Study:
        """Returns the study whose trials are the table's configurations."""
        stage = {"space": {axis.name: axis.as_grid() for axis in self.axes}, "asha": "none"}
        return self.study_with(stage)

    def study_with(self, stage: Mapping[str, Any]) -> Study:
        """Returns a study of one stage, with the table's data and budget and other settings of the stage."""
        rows, *columns = [axis.name for axis in self.cells]
        space = {**{name: {"value": value} for name, value in self.fixed.items()}, **stage["space"]}
        values = {
            "table": {"rows": rows, **({"columns": columns[0]} if columns else {})},
            "epochs": self.epochs,
            **self.stage,
            **stage,
            "space": space,
        }
        return Study.model_validate(
            {"name": self.name, "datasets": [self.dataset], **self.study, "stages": {STAGE: values}}
        )


WIDTHS, LATENT_DIMS = "hidden_layers", "latent_dim"
DEFINITIONS = {
    table.name: table
    for table in (
        TableDefinition(
            "digits",
            "digits",
            cells=(ListedAxis(LATENT_DIMS, (4, 8, 16)), ListedAxis(WIDTHS, ([16], [32], [64]))),
            drawn=(
                IntervalAxis("learning_rate", 1e-3, 1e-1, 7, log=True),
                IntervalAxis("weight_decay", 1e-2, 1.0, 4, log=True),
            ),
            fixed={"batch_size": 32},
        ),
        TableDefinition(
            "mnist",
            "mnist",
            cells=(ListedAxis(LATENT_DIMS, (8, 16, 32)), ListedAxis(WIDTHS, ([32], [64], [128]))),
            drawn=(
                IntervalAxis("learning_rate", 5e-4, 5e-2, 7, log=True),
                IntervalAxis("dropout", 0.0, 0.16, 4),
            ),
            fixed={"batch_size": 128},
            study={"precision": "bf16"},
            stage={"training_images": 10_000, "validation_images": 1000},
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class CurveTable:
    """Complete learning curves.

    Attributes:
        definition: what is recorded.
        errors: validation MSE after each epoch, float64 [configurations, epochs]; not a number from the epoch on in
            which a configuration diverged.
        epoch_times: how long an epoch of each configuration takes on the simulated clock, float64 [configurations].
    """

    definition: TableDefinition
    errors: np.ndarray
    epoch_times: np.ndarray

    def index(self, values: Mapping[str, Any]) -> int:
        """Returns the number of the configuration that stands for proposed values, by axis name."""
        places = [axis.index(values[axis.name]) for axis in self.definition.axes]
        return int(np.ravel_multi_index(places, self.definition.shape))

    @property
    def final(self) -> np.ndarray:
        """Validation MSE of the last epoch [configurations]; infinite where a configuration diverged."""
        return np.where(np.isfinite(self.errors[:, -1]), self.errors[:, -1], math.inf)

    @property
    def num_cells(self) -> int:
        return math.prod(self.definition.shape[: len(self.definition.cells)])

    @functools.cached_property
    def cells(self) -> np.ndarray:
        """The number of each configuration's cell [configurations]."""
        return np.repeat(np.arange(self.num_cells), len(self.errors) // self.num_cells)

    def part(self, cell: int) -> np.ndarray:
        """Returns the numbers of a cell's configurations."""
        return np.flatnonzero(self.cells == cell)


def table_specs(definition: TableDefinition) -> list[TrialSpec]:
    """Returns the trial of each configuration of a table, in the order of `CurveTable`: the last axis is fastest."""
    specs = stage_trials(definition.recorded(), STAGE, {definition.dataset: None})
    table = CurveTable(definition, np.zeros((0, 0)), np.zeros(0))  # for the numbers of configurations alone
    found = {table.index(values_of(spec.configuration, definition)): spec for spec in specs}
    return [found[number] for number in range(len(specs))]


def values_of(configuration: Configuration, definition: TableDefinition) -> dict[str, Any]:
    """Returns a configuration's values on a table's axes, as a study writes them."""
    return {axis.name: configuration.written_value(axis.name) for axis in definition.axes}


def curves_folder(given: Path | str | None) -> Path:
    """Returns the folder of recorded tables: the given one, else one in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(given or Path(cache) / "aesweep" / "benchmarks").expanduser()


def header(definition: TableDefinition) -> dict[str, Any]:
    """Returns the first line of a table's file: its definition as JSON holds it."""
    return json.loads(json.dumps({"table": dataclasses.asdict(definition)}))


def read_lines(path: Path, definition: TableDefinition) -> dict[int, dict[str, Any]]:
    """Returns what is recorded, by the configuration's number; nothing where there is no file.

    Raises:
        SystemExit: the file is of another table.
    """
    lines = path.read_text().split("\n")[:-1] if path.exists() else []  # a last line without its end was not finished
    if not lines:
        return {}
    if json.loads(lines[0]) != header(definition):
        raise SystemExit(
            f"{path}: expected the table {definition.name} as it is now, found another: give another --folder"
        )
    return {line["number"]: line for line in map(json.loads, lines[1:])}


def load_table(folder: Path, name: str) -> CurveTable:
    """Reads a table, on whose clock all epochs take the same time.

    Budgets are counted in epochs, so that the clock decides only in which order workers report. The recorded seconds
    would not do: on a machine with other work they tell more of that than of the configurations.

    Raises:
        SystemExit: the table is not complete.
    """
    definition = DEFINITIONS[name]
    path = folder / f"{name}.jsonl"
    lines = read_lines(path, definition)
    expected = math.prod(definition.shape)
    if len(lines) < expected:
        raise SystemExit(
            f"{path}: expected {expected} recorded configurations, found {len(lines)}: "
            f"record it first (bench_samplers.py record {name})"
        )
    errors = np.full((expected, definition.epochs), math.nan)
    for number, line in lines.items():
        values = line["validation_mse"]
        errors[number, : len(values)] = [math.nan if value is None else value for value in values]
    return CurveTable(definition, errors, np.ones(expected))

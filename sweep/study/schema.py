"""The typed form of a study: what to search, on which data, and what to report. Imports neither torch nor Ray.

`aesweep.study.study_file` reads a study from a file and words its faults.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from aesweep.data.catalogue import KNOWN_DATASETS
from aesweep.process.wording import plural
from aesweep.study.axis import Real, Whole
from aesweep.study.configuration import DERIVED, field_of
from aesweep.study.resources import Resources
from aesweep.study.search_settings import Asha, AshaOrNone, Sampler, Strict
from aesweep.study.search_space import SearchSpace

# Names that no images of a user's own may have. Those that became known later may: older runs have them beside a path.
RESERVED_NAMES = ("digits", "mnist", "fashion_mnist")
# Those of `aesweep.report.formats.registry`, which a test compares, and of `aesweep.report.figures.style`.
REPORT_FORMATS = ("markdown", "html", "latex", "pdf")
REPORT_WIDTHS = ("page", "column")
METRICS = {"validation_mse": "min", "validation_psnr_db": "max"}

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]
# `with_paths` must change every field of this type; tests/study/test_study.py walks the schema for them.
FilePath = Annotated[str, Field(min_length=1, json_schema_extra={"format": "path"})]


class Dataset(Strict):
    """A known data set by its name, or images of the user's own by their path, under a name that the study chooses."""

    name: Name
    path: FilePath | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _known(self) -> Dataset:
        if self.path is None and self.name not in KNOWN_DATASETS:
            raise ValueError(
                f"unknown data set {self.name!r}: known are {', '.join(KNOWN_DATASETS)}; "
                "for images of your own give {name: ..., path: ...}"
            )
        if self.path is not None and self.name in RESERVED_NAMES:
            raise ValueError(f"{self.name!r} is the name of a known data set: give your images another name")
        return self


class Table(Strict):
    """The axes of a stage's table; each combination of their values is a cell."""

    rows: str
    columns: str | None = None

    def axes(self) -> list[str]:
        return [self.rows] if self.columns is None else [self.rows, self.columns]


class StageRetraining(Strict):
    """Which trials of a stage are retrained on the full data: its winner, the winner of each cell, or none.

    `epochs` and `seeds` are those of the study's `retraining` where they are None.
    """

    of: Literal["winner", "cells", "none"] = "winner"
    epochs: Annotated[Whole, Field(ge=1)] | None = None
    seeds: Annotated[Whole, Field(ge=1)] | None = None


class Stage(Strict):
    """One search of a study, such as one of architecture, regularization or denoising."""

    from_: str | None = Field(default=None, alias="from")
    space: SearchSpace
    table: Table
    samples: Annotated[Whole, Field(ge=1, le=100_000)] = 1
    seeds: Annotated[Whole, Field(ge=1, le=1000)] = 1
    epochs: Annotated[Whole, Field(ge=1)]
    training_images: Annotated[Whole, Field(ge=1)] | None = None
    validation_images: Annotated[Whole, Field(ge=1)] | None = None
    sampler: Sampler = Sampler()
    asha: AshaOrNone = Asha()
    metric: Literal[tuple(METRICS)] = "validation_mse"
    mode: Literal["min", "max"] | None = None
    retraining: StageRetraining = StageRetraining()

    @model_validator(mode="after")
    def _consistent(self) -> Stage:
        faults = self._table_faults()
        if self.from_ is None:
            # Which of the others a stage needs depends on the family; the space itself checks that where it has one.
            for name in ("latent_dim",) if self.space.family else ("hidden_layers", "latent_dim"):
                axis = getattr(self.space, name)
                if axis is None or axis.when:
                    faults.append(f"space.{name} is needed, without a condition, in a stage that is not `from` another")
        if self.mode is None:
            self.mode = METRICS[self.metric]
        if self.mode != METRICS[self.metric]:
            faults.append(f"mode: {self.metric} is better when it is {METRICS[self.metric]}imal; got {self.mode}")
        if self.sampler.name == "tpe" and not any(axis.is_random for axis in self.space.axes().values()):
            faults.append("sampler: tpe has nothing to choose: give an axis as choice, uniform or log_uniform")
        if self.asha != "none" and self.asha.significance is not None and self.seeds == 1:
            faults.append("asha.significance: one seed has no spread: expected `seeds` above 1, got 1")
        if self.asha != "none" and self.asha.grace_period > self.epochs:
            faults.append(f"asha.grace_period: {self.asha.grace_period} is more than {plural(self.epochs, 'epoch')}")
        elif self.asha != "none" and (self.asha.brackets or 1) > len(self.rungs()) + 1:
            faults.append(
                f"asha.brackets: expected at most {len(self.rungs()) + 1}, one that begins at each of "
                f"{plural(len(self.rungs()), 'rung')} and one without a rung; got {self.asha.brackets}"
            )
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _table_faults(self) -> list[str]:
        faults = []
        for key, axis in zip(("rows", "columns"), self.table.axes(), strict=False):
            if axis in DERIVED:
                for name, found in self.space.axes().items():
                    if field_of(name) in DERIVED[axis] and found.is_random:
                        faults.append(f"table.{key}: {axis!r} needs {name} to be a grid, so that it makes cells")
                continue
            found = self.space.axes().get(axis)
            if found is None:
                faults.append(f"table.{key}: {axis!r} is not an axis of this stage's space")
            elif found.when or found.is_random:
                faults.append(f"table.{key}: {axis!r} must be a grid without a condition, so that it makes cells")
        if self.table.columns == self.table.rows:
            faults.append(f"table.columns: {self.table.rows!r} is already the table's rows")
        return faults

    def rungs(self) -> list[int]:
        """Returns the epochs at which ASHA decides, ascending; the last epoch is never one of them."""
        if self.asha == "none":
            return []
        rungs, rung = [], float(self.asha.grace_period)
        while int(rung) < self.epochs:
            rungs.append(int(rung))
            rung *= self.asha.reduction_factor
        return sorted(set(rungs))


class Retraining(Strict):
    """How winners are trained on training and validation images together, before the test set is opened.

    A stage's `retraining` may override both values.
    """

    epochs: Annotated[Whole, Field(ge=1)] = 30
    seeds: Annotated[Whole, Field(ge=1, le=1000)] = 5


class Report(Strict):
    """What the report shows beside the run's own numbers, and what it is written as.

    `formats` and `width` are None where the study leaves the choice to the version that writes the report. What is None
    is not recorded, so studies from before there were these keys keep their hash.
    """

    reference: FilePath | None = None
    num_pictures: Annotated[Whole, Field(ge=1, le=32)] = 10
    formats: list[Literal[REPORT_FORMATS]] | None = None
    width: Literal[REPORT_WIDTHS] | None = None


class Study(Strict):
    """A whole study, as its file defines it, with every default filled in."""

    name: Name
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 1
    datasets: Annotated[list[Dataset], Field(min_length=1)]
    validation_fraction: Annotated[Real, Field(gt=0, lt=1)] = 0.1
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    resources: Resources = Resources()
    stages: Annotated[dict[Name, Stage], Field(min_length=1)]
    retraining: Retraining = Retraining()
    report: Report = Report()

    @field_validator("datasets")
    @classmethod
    def _distinct(cls, datasets: list[Dataset]) -> list[Dataset]:
        names = [dataset.name for dataset in datasets]
        if len(set(names)) < len(names):
            raise ValueError(f"a data set is listed twice: {names}")
        return datasets

    def resolved(self) -> dict[str, Any]:
        """Returns the study as plain values, with every default filled in.

        A stage's sampler is left out where it is the default: the first versions had no other, and what they recorded
        of a study is then what is derived of it today.
        """
        values = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        for stage in values["stages"].values():
            if stage["sampler"] == {"name": "quasi_random"}:
                del stage["sampler"]
        return values

    def sha256(self) -> str:
        """Returns the `study_hash` of the study."""
        return study_hash(self.resolved())


def with_paths(values: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Returns a copy of a study's plain values in which every path is replaced by `change` of it."""
    copied = copy.deepcopy(values)
    holders = [(dataset, "path") for dataset in copied["datasets"]]
    for holder, key in [*holders, (copied.get("report", {}), "reference")]:
        if isinstance(holder, dict) and holder.get(key) is not None:
            holder[key] = change(holder[key])
    return copied


def study_hash(values: dict[str, Any]) -> str:
    """Returns the hash that identifies a study, wherever its files lie.

    Only the last part of each path is hashed: the images have a separate hash, and the journal holds the reference.

    Args:
        values: the study's values, as `Study.resolved` returns them and a journal holds them. No defaults are filled
            in, so that a default that a later version adds does not change the hash.

    Returns:
        64 hexadecimal digits of SHA-256.
    """
    named = with_paths(values, lambda path: Path(path).name)
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()

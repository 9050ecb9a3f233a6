"""The study file: what to search, on which data, and what to report; typed and checked before anything runs.

Free of torch and Ray. A file is read with YAML's safe loader; aliases, duplicate keys and files over 1 MB are refused.
All faults of a file are reported at once, each with its dotted key.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sweep.errors import StudyError
from sweep.search_space import SearchSpace

MAX_FILE_BYTES = 1_000_000
BUNDLED_DATASETS = ("digits", "mnist", "fashion_mnist")
RESERVED_STAGES = ("retraining", "winners", "rungs")
METRICS = {"validation_mse": "min", "validation_psnr_db": "max"}

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Dataset(_Strict):
    """A bundled or well-known data set by its name, or a folder of images under a name of one's own."""

    name: Name
    path: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _known(self) -> Dataset:
        if self.path is None and self.name not in BUNDLED_DATASETS:
            raise ValueError(
                f"unknown data set {self.name!r}: known are {', '.join(BUNDLED_DATASETS)}; "
                "for a folder of images give {name: ..., path: ...}"
            )
        if self.path is not None and self.name in BUNDLED_DATASETS:
            raise ValueError(f"{self.name!r} is the name of a known data set: give the folder another name")
        return self


class Table(_Strict):
    """The axes of a stage's table; their crossing makes its cells."""

    rows: str
    columns: str | None = None

    def axes(self) -> list[str]:
        return [self.rows] if self.columns is None else [self.rows, self.columns]


class Asha(_Strict):
    """Asynchronous successive halving (Li et al., MLSys 2020), within each cell."""

    grace_period: Annotated[int, Field(ge=1)] = 1
    reduction_factor: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 3


class StageRetraining(_Strict):
    """What of a stage is retrained on the full data: its winner, the winner of each cell, or nothing."""

    of: Literal["winner", "cells", "none"] = "winner"
    epochs: Annotated[int, Field(ge=1)] | None = None
    seeds: Annotated[int, Field(ge=1)] | None = None


class Stage(_Strict):
    """One search: architecture, regularization, denoising or another."""

    from_: str | None = Field(default=None, alias="from")
    space: SearchSpace
    table: Table
    samples: Annotated[int, Field(ge=1, le=100_000)] = 1
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    epochs: Annotated[int, Field(ge=1)]
    training_images: Annotated[int, Field(ge=1)] | None = None
    validation_images: Annotated[int, Field(ge=1)] | None = None
    asha: Asha = Asha()
    metric: Literal[tuple(METRICS)] = "validation_mse"
    mode: Literal["min", "max"] | None = None
    retraining: StageRetraining = StageRetraining()

    @model_validator(mode="after")
    def _consistent(self) -> Stage:
        faults = self._table_faults()
        if self.from_ is None:
            for name in ("hidden_layers", "latent_dim"):
                axis = getattr(self.space, name)
                if axis is None or axis.when:
                    faults.append(f"space.{name} is needed, without a condition, in a stage that is not `from` another")
        if self.mode is None:
            self.mode = METRICS[self.metric]
        if self.mode != METRICS[self.metric]:
            faults.append(f"mode: {self.metric} is better when it is {METRICS[self.metric]}imal; got {self.mode}")
        if self.asha.grace_period > self.epochs:
            faults.append(f"asha.grace_period: {self.asha.grace_period} is more than the {self.epochs} epochs")
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _table_faults(self) -> list[str]:
        faults = []
        for key, axis in zip(("rows", "columns"), self.table.axes(), strict=False):
            found = getattr(self.space, axis, None) if axis in SearchSpace.model_fields else None
            if found is None:
                faults.append(f"table.{key}: {axis!r} is not an axis of this stage's space")
            elif found.when or found.is_random:
                faults.append(f"table.{key}: {axis!r} must be a grid without a condition, so that it makes cells")
        if self.table.columns == self.table.rows:
            faults.append(f"table.columns: {self.table.rows!r} is already the table's rows")
        return faults

    def rungs(self) -> list[int]:
        """The epochs at which ASHA decides; the last epoch is none of them."""
        rungs, rung = [], float(self.asha.grace_period)
        while int(rung) < self.epochs:
            rungs.append(int(rung))
            rung *= self.asha.reduction_factor
        return sorted(set(rungs))


class Retraining(_Strict):
    """How winners are trained on training and validation images together, before the test set is opened."""

    epochs: Annotated[int, Field(ge=1)] = 30
    seeds: Annotated[int, Field(ge=1, le=1000)] = 5


class Report(_Strict):
    """What the report shows beside the run's own numbers."""

    reference: str | None = None
    num_pictures: Annotated[int, Field(ge=1, le=32)] = 10


class Resources(_Strict):
    """What a trial holds while it trains."""

    cpus_per_trial: Annotated[float, Field(gt=0)] = 1
    gpus_per_trial: Annotated[float, Field(ge=0)] = 0


class Study(_Strict):
    """A whole study, as its file says, with every default filled in."""

    name: Name
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    datasets: Annotated[list[Dataset], Field(min_length=1)]
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
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
        """The study as plain values, every default filled in."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def sha256(self) -> str:
        """The hash by which two runs of the same study are known as such, wherever its files lie.

        Of a path only the last part counts: the images have a hash of their own, and the journal holds the reference.
        """
        values = self.resolved()
        for dataset in values["datasets"]:
            if "path" in dataset:
                dataset["path"] = Path(dataset["path"]).name
        if "reference" in values["report"]:
            values["report"]["reference"] = Path(values["report"]["reference"]).name
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, without aliases (a small file could grow without bound) and without duplicate keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, "aliases are not allowed; write the value out", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        mapping = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int, float, bool)):
                raise yaml.constructor.ConstructorError(None, None, "expected a plain key", key_node.start_mark)
            if key in mapping:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping


_Loader.add_constructor(
    yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, lambda loader, node: loader.construct_mapping(node, deep=True)
)


def read_yaml(path: Path) -> Any:
    """Plain values from a YAML file. Raises StudyError for anything that is not small, well-formed and safe."""
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise StudyError(str(path), [f"cannot be read: {error.strerror}"]) from error
    if len(text) > MAX_FILE_BYTES:
        raise StudyError(str(path), [f"is larger than {MAX_FILE_BYTES:,} bytes; a study file is a page of text"])
    return _parse(text, str(path))


def _parse(text: bytes | str, source: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader derives from SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise StudyError(source, [f"{place}{error.problem}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(source, [f"is not readable as YAML: {reason}"]) from error


def load_study(path: Path, overrides: tuple[str, ...] = ()) -> Study:
    """Reads and checks a study file.

    Args:
        path: the YAML file. Relative paths inside it (image folders, the reference) are taken from its folder.
        overrides: `dotted.key=value` texts, applied before the check; values are read as YAML.

    Raises:
        StudyError: with every fault of the file, each with its dotted key.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise StudyError(str(path), [f"expected a mapping with name, datasets and stages, got {type(values).__name__}"])
    for override in overrides:
        _override(values, override)
    study = check_study(values, str(path))
    for dataset in study.datasets:
        if dataset.path is not None:
            dataset.path = str((path.parent / dataset.path).resolve())
    if study.report.reference is not None:
        study.report.reference = str((path.parent / study.report.reference).resolve())
    return study


def check_study(values: dict[str, Any], source: str) -> Study:
    """The typed study, or a StudyError that lists every fault."""
    faults = _name_faults(values)
    try:
        study = Study.model_validate(values)
    except pydantic.ValidationError as error:
        raise StudyError(source, _faults(error) + faults) from error
    except RecursionError as error:
        raise StudyError(source, ["is nested too deeply"]) from error
    if faults:
        raise StudyError(source, faults)
    return study


def _name_faults(values: dict[str, Any]) -> list[str]:
    """What is wrong with how stages are named and refer to each other, whatever else may be wrong in the file."""
    stages = values.get("stages")
    if not isinstance(stages, dict):
        return []
    faults, earlier = [], []
    for name, stage in stages.items():
        origin = stage.get("from") if isinstance(stage, dict) else None
        if isinstance(origin, str) and origin not in earlier:
            known = ", ".join(map(str, earlier)) or "none"
            faults.append(f"stages.{name}.from: {origin!r} is not an earlier stage; earlier are: {known}")
        if name in RESERVED_STAGES:
            faults.append(f"stages.{name}: the name is taken by a part of the report; give the stage another")
        earlier.append(name)
    datasets = values.get("datasets") if isinstance(values.get("datasets"), list) else []
    names = [dataset.get("name") if isinstance(dataset, dict) else dataset for dataset in datasets]
    pairs = [f"{stage}-{dataset}" for stage in stages for dataset in names]
    pairs += [f"{dataset}-{stage}" for stage in stages for dataset in names]
    faults += [
        f"stages: two stages and data sets would both be called {pair!r}; rename one"
        for pair in dict.fromkeys(pairs)
        if pairs.count(pair) > 1
    ]
    return faults


def _faults(error: pydantic.ValidationError) -> list[str]:
    faults = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"]) or "study"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "unknown key"
        elif fault["type"] == "missing":
            message = "is missing"
        elif fault["type"] != "value_error":
            message = f"{message}, got {str(fault['input'])[:80]!r}"
        faults += [f"{key}: {line}" for line in message.split("\n")]
    return faults


def _override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise StudyError("--set", [f"expected dotted.key=value, got {override!r}"])
    target = values
    for part in parts[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise StudyError("--set", [f"{key}: {part!r} is not a mapping, so it holds no {parts[-1]!r}"])
    target[parts[-1]] = _parse(text, f"--set {key}")

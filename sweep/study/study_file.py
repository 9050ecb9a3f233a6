"""Reads a study from a YAML file, or reports all of its faults at once, each with its dotted key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic

from aesweep.process.errors import StudyError
from aesweep.process.user_path import user_path
from aesweep.study.resources import AUTO
from aesweep.study.safe_yaml import parse_yaml, read_yaml
from aesweep.study.schema import Study
from aesweep.study.search_space import EACH, WHOLE

RESERVED_STAGES = ("retraining", "winners", "rungs")  # parts of the report have these names


def load_study(path: Path, overrides: tuple[str, ...] = (), *, keeps_home: bool = False) -> Study:
    """Reads and checks a study file.

    Args:
        path: the YAML file. Relative paths inside it (image folders, the reference) are relative to its folder; see
            `aesweep.process.user_path` for a leading `~`.
        overrides: `dotted.key=value` texts, applied before the check; values are read as YAML.
        keeps_home: whether a `~` before a folder of images is kept, so that the machine that reads the images expands
            it.

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
        if dataset.path is not None and not (keeps_home and dataset.path.startswith("~")):
            dataset.path = str(_resolved(dataset.path, path, f"datasets.{dataset.name}.path"))
    if study.report.reference is not None:
        study.report.reference = str(_resolved(study.report.reference, path, "report.reference"))
    return study


def _resolved(text: str, study_file: Path, key: str) -> Path:
    """Returns a path of a study in absolute form; relative paths start at the study file's folder."""
    try:
        return (study_file.parent / user_path(text)).resolve()
    except (ValueError, OSError, RuntimeError) as error:  # the latter two come from circular links
        raise StudyError(str(study_file), [f"{key}: {error}"]) from error


def check_study(values: dict[str, Any], source: str) -> Study:
    """Returns the typed study.

    Args:
        values: the study's plain values.
        source: the place that messages name.

    Raises:
        StudyError: the study has faults; the error lists all of them.
    """
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
    """Returns the faults in the names of stages and in their references to each other, even if the file has others."""
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
        key = ".".join(str(part) for part in fault["loc"] if part not in (WHOLE, EACH)) or "study"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "unknown key"
        elif fault["type"] == "missing":
            message = "is missing"
        elif fault["type"] != "value_error":
            message = f"{message}, got {str(fault['input'])[:80]!r}"
            if isinstance(fault["input"], bool):
                message += " (so YAML reads yes, no, on and off: put quotes around such a word if a text is meant)"
        faults += [f"{key}: {line}" for line in message.split("\n")]
    return faults


def _override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise StudyError("--set", [f"expected dotted.key=value, got {override!r}"])
    target = values
    for part in parts[:-1]:
        if target.get(part) == AUTO:  # a word for a mapping of defaults
            target[part] = {}
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise StudyError("--set", [f"{key}: {part!r} is not a mapping, so it holds no {parts[-1]!r}"])
    target[parts[-1]] = parse_yaml(text, f"--set {key}")

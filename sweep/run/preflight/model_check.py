"""Checks before a run that every model of a study is possible for the images at hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from aesweep.process.errors import StudyError
from aesweep.search.samplers.registry import learns
from aesweep.search.stages import stage_trials
from aesweep.study.axis import Axis
from aesweep.study.configuration import FAMILY_FIELDS, SHAPE, Configuration
from aesweep.study.schema import Study


def check_models(study: Study, image_shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Checks the models of every stage, for every winner that an earlier stage may hand on.

    Linear layers fit all images, so a study of nothing else is not looked at, and torch is not imported for it; but a
    likelihood may not suit the output.

    Args:
        study: the study to run.
        image_shapes: data set name to the shape of an image, (C, H, W).

    Raises:
        StudyError: for each stage and data set, a model that is not possible, and why.
    """
    own = {"family", "likelihood", *(name for names in FAMILY_FIELDS.values() for name in names)}
    if not any(getattr(stage.space, name) for stage in study.stages.values() for name in own):
        return
    possible: dict[str, list[Configuration | None]] = {}
    faults = []
    for name, stage in study.stages.items():
        found: dict[tuple, Configuration] = {}
        for base in possible[stage.from_] if stage.from_ else [None]:
            for spec in stage_trials(_listed(study, name), name, {study.datasets[0].name: base}):
                key = tuple(getattr(spec.configuration, field) for field in SHAPE)
                found.setdefault(key, spec.configuration)
        mine = faults_of(found.values(), image_shapes)
        faults += [f"stages.{name}.space.{fault}" for fault in {dataset: fault for dataset, _, fault in mine}.values()]
        impossible = [configuration for _, configuration, _ in mine]
        possible[name] = [configuration for configuration in found.values() if configuration not in impossible]
    if faults:
        raise StudyError(f"study {study.name}", faults)


def _listed(study: Study, name: str) -> Study:
    """Returns the study with a stage that has every shape that a sampler which learns may choose."""
    stage = study.stages[name]
    if not learns(stage):
        return study
    space = {field: _as_grid(getattr(stage.space, field)) for field in SHAPE}
    listed = {"space": stage.space.model_copy(update=space), "samples": 1}
    return study.model_copy(update={"stages": {**study.stages, name: stage.model_copy(update=listed)}})


def _as_grid(axis: Axis | dict[str, Axis] | None) -> Axis | dict[str, Axis] | None:
    """Returns an axis with a grid of what it chooses from; of a package's settings, each is an axis."""
    if isinstance(axis, dict):
        return {name: _as_grid(setting) for name, setting in axis.items()}
    if axis is None or not axis.choice:
        return axis
    return axis.model_copy(update={"grid": axis.choice, "choice": None})


def faults_of(
    configurations: Iterable[Configuration], image_shapes: Mapping[str, tuple[int, ...]]
) -> list[tuple[str, Configuration, str]]:
    """Returns data set, configuration and reason of each model that is not possible."""
    from aesweep.training.engine.member import architecture_of

    found = []
    for (dataset, shape), configuration in itertools.product(image_shapes.items(), configurations):
        try:
            architecture_of(configuration, shape)
        except ValueError as error:
            found.append((dataset, configuration, f"{error} (data set {dataset})"))
    return found

"""Checks before a run that every model of a study is possible for the images at hand."""

from __future__ import annotations

from collections.abc import Mapping

from aesweep.process.errors import StudyError
from aesweep.search.stages import stage_trials
from aesweep.study.configuration import FAMILY_FIELDS, SHAPE, Configuration
from aesweep.study.schema import Study


def check_models(study: Study, image_shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Checks the models of every stage, for every winner that an earlier stage may hand on.

    Linear layers fit all images, so a study of nothing else is not looked at, and torch is not imported for it.

    Args:
        study: the study to run.
        image_shapes: data set name to the shape of an image, (C, H, W).

    Raises:
        StudyError: for each stage and data set, the first model that is not possible, and why.
    """
    own = {name for names in FAMILY_FIELDS.values() for name in names}
    if not any(getattr(stage.space, name) for stage in study.stages.values() for name in own):
        return
    from aesweep.training.engine.member import architecture_of

    shapes: dict[str, list[Configuration | None]] = {}
    faults = []
    for name, stage in study.stages.items():
        bases = shapes[stage.from_] if stage.from_ else [None]
        found: dict[tuple, Configuration] = {}
        for base in bases:
            for spec in stage_trials(study, name, {study.datasets[0].name: base}):
                key = tuple(getattr(spec.configuration, field) for field in SHAPE)
                found.setdefault(key, spec.configuration)
        shapes[name] = list(found.values())
        if not any(getattr(stage.space, field) for field in SHAPE):
            continue  # its models are those of the stage before, which have been checked
        for dataset, shape in image_shapes.items():
            for configuration in found.values():
                try:
                    architecture_of(configuration, shape)
                except ValueError as error:
                    faults.append(f"stages.{name}.space.{error} (data set {dataset})")
                    break
    if faults:
        raise StudyError(f"study {study.name}", faults)

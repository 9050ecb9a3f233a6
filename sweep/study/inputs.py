"""Reads the inputs of a run, its images and the published numbers, and checks them against the study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aesweep.data.datasets import load_dataset
from aesweep.data.image_data import ImageData
from aesweep.data.splits import num_validation_images
from aesweep.process.errors import StudyError
from aesweep.process.wording import plural
from aesweep.study.safe_yaml import read_yaml
from aesweep.study.schema import Study


def load_images(study: Study, data_dir: str | None, download: bool) -> dict[str, ImageData]:
    """Loads and checks all data sets of a study.

    Args:
        study: the study to run.
        data_dir: see `aesweep.data.datasets.data_folder`.
        download: whether to fetch missing data sets that can be downloaded.

    Returns:
        Data set name to images.

    Raises:
        DataError: a data set is unknown, missing or damaged.
        StudyError: a stage asks for more images than a data set has.
    """
    images = {
        dataset.name: load_dataset(dataset.name, path=dataset.path, data_dir=data_dir, download=download)
        for dataset in study.datasets
    }
    check_sizes(study, {name: len(data.training) for name, data in images.items()})
    return images


def describe_images(study: Study, images: dict[str, ImageData]) -> dict[str, dict[str, Any]]:
    """Returns what a run records of its images, by data set name; a resumed run checks its images against it."""
    found = {}
    for name, data in images.items():
        num_validation = num_validation_images(len(data.training), study.validation_fraction)
        found[name] = {
            "sha256": data.sha256,
            "shape": list(data.training.shape[1:]),
            "num_training_images": len(data.training) - num_validation,
            "num_validation_images": num_validation,
            "num_test_images": len(data.test),
        }
    return found


def check_sizes(study: Study, num_images: dict[str, int]) -> None:
    """Raises StudyError, with every fault, where a stage asks for more images than a data set has.

    Args:
        study: the study to run.
        num_images: data set name to number of training images, before the validation images are cut from them.
    """
    faults = []
    for dataset, total in num_images.items():
        num_validation = num_validation_images(total, study.validation_fraction)
        if total - num_validation < 2:
            faults.append(
                f"validation_fraction: leaves fewer than 2 of {dataset}'s {plural(total, 'image')} to train on"
            )
        for name, stage in study.stages.items():
            for key, limit in (("training_images", total - num_validation), ("validation_images", num_validation)):
                asked = getattr(stage, key)
                if key == "training_images" and asked == 1:
                    faults.append(f"stages.{name}.{key}: expected 2 or more, got 1")
                if asked is not None and asked > limit:
                    faults.append(f"stages.{name}.{key}: {dataset} has {limit:,} of them, got {asked:,}")
    if faults:
        raise StudyError(f"study {study.name}", faults)


def read_reference(path: str) -> dict[str, Any]:
    """Reads published numbers, which the report shows beside the run's own, from a YAML file.

    Raises:
        StudyError: the file is not a mapping of texts and numbers, or cannot be read.
    """
    values = read_yaml(Path(path))
    if not isinstance(values, dict):
        raise StudyError(path, ["expected a mapping of published tables"])
    try:
        json.dumps(values)
    except TypeError as error:
        raise StudyError(path, [f"expected texts and numbers alone: {error}; put dates into quotes"]) from error
    return values

"""Where a recorded run's images lie now: where the user says, else where they lay, else the same way from the run.

A run's folder may have been moved or copied with its images, or without them to another machine. Whatever is found is
taken only if its hash is the recorded one, so that every place may be tried.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aesweep.data.datasets import DATA_DIR_VARIABLE, load_dataset
from aesweep.data.image_data import DataError, ImageData
from aesweep.process.errors import StudyError
from aesweep.study.schema import Study


def place_images(study: Study, images: Mapping[str, Path]) -> None:
    """Takes folders of images from other places than the study names; `images` is by data set.

    Raises:
        StudyError: one is of no folder of images of the study.
    """
    check_names(study, images)
    for dataset in study.datasets:
        if dataset.name in images:
            dataset.path = str(images[dataset.name].absolute())


def check_names(study: Study, images: Iterable[str]) -> None:
    """Raises StudyError where a folder is given for what is no folder of images of the study."""
    known = [dataset.name for dataset in study.datasets if dataset.path is not None]
    faults = [
        f"{name!r} is no data set of study {study.name} that is a folder of images: "
        + (f"expected {' or '.join(known)}" if known else "the study has none, so leave out --images")
        for name in images
        if name not in known
    ]
    if faults:
        raise StudyError("--images", faults)


def relative_places(study: Study | None, options: Mapping[str, Any], root: Path) -> dict[str, str]:
    """For the record: the folders that images are read from, with the way to each from the run's folder.

    Args:
        study: what is run; None for the options' folders alone.
        options: of the command, as recorded.
        root: the run's folder.
    """
    paths = [dataset.path for dataset in (study.datasets if study else ()) if dataset.path is not None]
    paths += [*options.get("images", {}).values(), *filter(None, [options.get("data_dir")])]
    return {path: os.path.relpath(path, root.resolve()) for path in paths}


class ImagePlaces:
    """The places where a recorded run's images may lie.

    Args:
        study: the run's.
        hashes: SHA-256 of the images of each data set, as recorded.
        ways: recorded folder to the way to it from the run's folder.
        root: the run's folder.
        given: the options of the command at work: `data_dir` and `images`, where the user gives them.
        recorded: those of the command before.
    """

    def __init__(
        self,
        study: Study,
        hashes: Mapping[str, str],
        ways: Mapping[str, str],
        root: Path,
        given: Mapping[str, Any],
        recorded: Mapping[str, Any],
    ):
        check_names(study, given.get("images", {}))
        self._study, self._root = study, root.resolve()
        self._given, self._recorded = given, recorded
        self._hashes, self._ways = hashes, ways

    def load(self, download: bool) -> dict[str, ImageData]:
        """The data sets, each from the first place that has the run's images; if none has, from the first with any.

        Args:
            download: fetch what is missing, where that is known how.

        Raises:
            DataError: of the first place, where no place has any images.
        """
        return {dataset.name: self._load(dataset.name, dataset.path, download) for dataset in self._study.datasets}

    def _load(self, name: str, path: str | None, download: bool) -> ImageData:
        other: ImageData | None = None
        fault: DataError | None = None
        places = self._folders(name, path) if path is not None else self._data_dirs()
        for place in places:
            where = {"path": place} if path is not None else {"data_dir": place}
            try:
                found = load_dataset(name, **where)
            except DataError as error:
                fault = fault or error
                continue
            if found.sha256 == self._hashes.get(name):
                return found
            other = other or found
        if other is not None:
            return other
        if download and path is None:
            return load_dataset(name, data_dir=places[0], download=True)
        raise fault

    def _folders(self, name: str, path: str) -> list[str]:
        if name in self._given.get("images", {}):
            return [self._given["images"][name]]
        return self._around([*filter(None, [self._recorded.get("images", {}).get(name)]), path])

    def _data_dirs(self) -> list[str | None]:
        given = self._given.get("data_dir") or os.environ.get(DATA_DIR_VARIABLE)
        if given:
            return [given]
        recorded = self._recorded.get("data_dir")
        return [*self._around([recorded] if recorded else []), None]

    def _around(self, paths: list[str]) -> list[str]:
        """Each path, then the same as seen from where the run lies now."""
        moved = [os.path.normpath(self._root / self._ways[path]) for path in paths if path in self._ways]
        return list(dict.fromkeys([*paths, *moved]))

"""Finds the images of a recorded run: where the user says, else at the recorded path, else relative to the run.

A run's folder may have been moved or copied with its images, or without them to another machine. Images are used only
if their hash is the recorded one, so that any place may be tried.
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
    """Replaces the paths of a study's images of the user's own, in place.

    Args:
        study: the study that is changed.
        images: maps data set name to the path that replaces the one that the study names.

    Raises:
        StudyError: a name is not that of a data set to which the study gives a path.
    """
    check_names(study, images)
    for dataset in study.datasets:
        if dataset.name in images:
            dataset.path = str(images[dataset.name].absolute())


def check_names(study: Study, images: Iterable[str]) -> None:
    """Raises StudyError where a name is not that of a data set to which the study gives a path."""
    known = [dataset.name for dataset in study.datasets if dataset.path is not None]
    faults = [
        f"{name!r} is no data set to which study {study.name} gives a path: "
        + (f"expected {' or '.join(known)}" if known else "the study has none, so leave out --images")
        for name in images
        if name not in known
    ]
    if faults:
        raise StudyError("--images", faults)


def relative_places(study: Study | None, options: Mapping[str, Any], root: Path) -> dict[str, str]:
    """Returns what the journal records of the folders from which images are read.

    Args:
        study: the study of the run; None for the options' folders alone.
        options: the command's options, as recorded.
        root: the run's folder.

    Returns:
        The path of each folder, mapped to its path relative to the run's folder.
    """
    paths = [dataset.path for dataset in (study.datasets if study else ()) if dataset.path is not None]
    paths += [*options.get("images", {}).values(), *filter(None, [options.get("data_dir")])]
    return {path: os.path.relpath(path, root.resolve()) for path in paths}


class ImagePlaces:
    """The places where a recorded run's images may lie.

    Args:
        study: the run's study.
        hashes: SHA-256 of the images of each data set, as recorded.
        ways: maps each recorded folder to its path relative to the run's folder.
        root: the run's folder.
        given: the current command's options `data_dir` and `images`, where the user gives them.
        recorded: the same options of the command before.
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
        """Loads the data sets, each from the first place with the run's images, else from the first place with any.

        Args:
            download: whether to fetch a missing data set that can be downloaded.

        Returns:
            Data set name to images. Their hash may differ from the recorded one, which the caller has to check.

        Raises:
            DataError: no place has any images; the error is that of the first place.
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
        """Returns each path, then the same paths relative to the run's present folder."""
        moved = [os.path.normpath(self._root / self._ways[path]) for path in paths if path in self._ways]
        return list(dict.fromkeys([*paths, *moved]))

"""The data set in memory, and the error of data that cannot be loaded.

N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np


class DataError(Exception):
    """Data that cannot be used, in one line: where, what was expected and what came, and the remedy.

    Args:
        place: the file or folder at fault, or the data set's name where there is no file.
        problem: what was expected and what came.
        remedy: what the user can do about it.
    """

    def __init__(self, place: Path | str, problem: str, remedy: str):
        # All three stay in `args`, so that the error survives pickling on its way out of a worker.
        super().__init__(place, problem, remedy)

    def __str__(self) -> str:
        place, problem, remedy = (_on_one_line(str(part)) for part in self.args)
        return f"{place}: {problem}; {remedy}"


def _on_one_line(text: str) -> str:
    # File names may hold line breaks, or bytes that are not UTF-8 and that a terminal cannot show.
    return text if text.isprintable() else ascii(text)


class Labels(NamedTuple):
    """The class of each image, whole numbers from 0, int64 [N]; used to judge codes, and never to train.

    Attributes:
        training, test: labels of the training and the test images.
    """

    training: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class ImageData:
    """A data set in memory.

    Attributes:
        name: one of `aesweep.data.catalogue.KNOWN_DATASETS`, or the study's name of a user's own images.
        training: uint8 [N, C, H, W], 0 is black, in the original order.
        test: uint8 [N, C, H, W], of the same C, H, W.
        sha256: hash of shape and bytes of training, then test; equal data have equal hashes on every machine.
        labels: classes of the images; None where they are not known.
    """

    name: str
    training: np.ndarray
    test: np.ndarray
    sha256: str
    labels: Labels | None = None

    @classmethod
    def of(cls, name: str, training: np.ndarray, test: np.ndarray, labels: Labels | None = None) -> ImageData:
        """Returns the data set of two uint8 arrays [N, C, H, W], with the hash of its images."""
        for images in (training, test):
            assert images.dtype == np.uint8 and images.ndim == 4
        assert training.shape[1:] == test.shape[1:]
        digest = hashlib.sha256()
        for images in (training, test):
            digest.update("x".join(str(length) for length in images.shape).encode() + b"\n")
            digest.update(np.ascontiguousarray(images).data)
        return cls(name, training, test, digest.hexdigest(), labels)

"""Loads and checks data sets: those that `aesweep.data.catalogue` knows by name, or a user's own images.

Nothing is downloaded unless the caller asks for it. torchvision is imported for downloads alone, and nothing else here
imports torch, so that a study can be checked on any machine.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from aesweep.data.arrays import are_arrays, read_arrays
from aesweep.data.catalogue import IDX_DATASETS, KNOWN_DATASETS, IdxDataset
from aesweep.data.cifar import read_cifar10
from aesweep.data.idx import read_idx_images, read_idx_labels
from aesweep.data.image_data import DataError, ImageData, Labels
from aesweep.data.image_folder import read_image_folder
from aesweep.process.user_path import user_path

__all__ = ["DataError", "ImageData", "data_folder", "load_dataset"]

NUM_DIGITS_TRAINING = 1437  # of 1,797; the last 360 are the test set
DATA_DIR_VARIABLE = "AESWEEP_DATA_DIR"


def load_dataset(
    name: str, *, path: Path | str | None = None, data_dir: Path | str | None = None, download: bool = False
) -> ImageData:
    """Loads a data set into memory and checks all of it.

    Args:
        name: one of `KNOWN_DATASETS`; with `path`, any name for those images.
        path: a folder of images, see `aesweep.data.image_folder`, or arrays, see `aesweep.data.arrays`.
        data_dir: folder with MNIST and the others in torchvision's layout; see `data_folder`.
        download: whether torchvision may fetch a data set of `IDX_DATASETS` into `data_dir` if it is not there.

    Raises:
        DataError: the data set is unknown, missing or damaged.
    """
    if path is not None:
        folder = _folder(name, path)
        read = read_arrays if are_arrays(folder) else read_image_folder
        return ImageData.of(name, *read(folder, name))
    if name == "digits":
        return _digits()
    if name in IDX_DATASETS:
        if download and not is_there(name, data_dir):
            _download(name, data_folder(data_dir))
        return ImageData.of(name, *_read_idx(IDX_DATASETS[name], raw_folder(name, data_dir)))
    if name == "cifar10":
        return ImageData.of(name, *read_cifar10(data_folder(data_dir)))
    known = ", ".join(KNOWN_DATASETS)
    raise DataError(name, f"is no known data set, known are {known}", "for images of your own give their path as well")


def data_folder(data_dir: Path | str | None = None) -> Path:
    """Returns the folder with MNIST and the others: `data_dir`, else AESWEEP_DATA_DIR, else the user's cache."""
    if data_dir is None:
        data_dir = os.environ.get(DATA_DIR_VARIABLE) or None
    if data_dir is None:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        data_dir = Path(cache) / "aesweep" / "data"
    return _folder("the folder of data sets", data_dir)


def raw_folder(name: str, data_dir: Path | str | None = None) -> Path:
    """Returns the folder with the files of a data set of `IDX_DATASETS`; it need not exist."""
    return data_folder(data_dir) / IDX_DATASETS[name].folder / "raw"


def is_there(name: str, data_dir: Path | str | None = None) -> bool:
    """Returns whether all images of a data set of `IDX_DATASETS` exist in `data_folder`, without reading them."""
    return all(_present(raw_folder(name, data_dir) / file) for file in IDX_DATASETS[name].image_files)


def _folder(name: str, path: Path | str) -> Path:
    try:
        return user_path(path)
    except ValueError as error:
        raise DataError(name, str(error), "correct the path") from error


def _read_idx(known: IdxDataset, raw: Path) -> tuple[np.ndarray, np.ndarray, Labels | None]:
    """Returns training and test images, uint8 [N, 1, H, W], and labels, None where a file of them is missing."""
    training, test = (read_idx_images(raw / part.images, part.shape) for part in known.parts)
    if known.is_transposed:
        for images in (training, test):
            _transpose(images)
    labels = [read_idx_labels(raw / part.labels, part.num_images, known.label_columns) for part in known.parts]
    return training[:, None], test[:, None], None if any(found is None for found in labels) else Labels(*labels)


def _transpose(images: np.ndarray) -> None:
    """Exchanges rows and columns of square images [N, H, H] in place, without a second copy of all of them."""
    for first in range(0, len(images), 1000):
        block = images[first : first + 1000]
        block[:] = block.transpose(0, 2, 1).copy()


def _digits() -> ImageData:
    from sklearn.datasets import load_digits  # takes a second, and only this data set needs it

    digits = load_digits()
    values = digits.images  # float [1797, 8, 8], whole numbers 0..16
    images = np.rint(values * (255 / 16)).astype(np.uint8)[:, None]  # halves go to the even neighbour
    training, test = slice(NUM_DIGITS_TRAINING), slice(NUM_DIGITS_TRAINING, None)
    labels = digits.target.astype(np.int64)
    return ImageData.of("digits", images[training], images[test], Labels(labels[training], labels[test]))


def _present(path: Path) -> bool:
    return os.path.lexists(path) or os.path.lexists(path.with_name(path.name + ".gz"))


def _download(name: str, folder: Path) -> None:
    """Fetches a data set into `folder` with torchvision, which verifies the archives' checksums.

    The files are moved into place one by one when they are complete, so that an interrupted download leaves no
    truncated file; existing files are kept.
    """
    import torchvision

    known = IDX_DATASETS[name]
    dataset = getattr(torchvision.datasets, known.folder)
    raw = folder / known.folder / "raw"
    try:
        raw.mkdir(parents=True, exist_ok=True)
        # torchvision prints to stdout, which is reserved for the caller's output.
        with tempfile.TemporaryDirectory(dir=folder) as temporary, contextlib.redirect_stdout(sys.stderr):
            for options in known.downloads:
                dataset(temporary, download=True, **options)
            for file in sorted((Path(temporary) / known.folder / "raw").iterdir()):
                if file.suffix not in (".gz", ".zip") and not _present(raw / file.name):
                    file.replace(raw / file.name)
    except (OSError, RuntimeError) as error:  # torchvision wraps what its mirrors answered in a RuntimeError
        reason = " ".join(str(error).split())  # one line per mirror becomes one line
        remedy = f"check the network and the folder's permissions, or copy the files into {raw} yourself"
        raise DataError(folder, f"the download of {name} failed ({reason})", remedy) from error

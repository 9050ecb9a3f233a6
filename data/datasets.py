"""Loads and checks data sets by name: digits, MNIST and others of its form, CIFAR-10, or a user's own images.

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
from aesweep.data.cifar import read_cifar10
from aesweep.data.idx import read_idx_images, read_idx_labels
from aesweep.data.image_data import DataError, ImageData, Labels
from aesweep.data.image_folder import read_image_folder
from aesweep.process.user_path import user_path

__all__ = ["DataError", "ImageData", "data_folder", "load_dataset"]

NUM_DIGITS_TRAINING = 1437  # of 1,797; the last 360 are the test set
# torchvision's class names, and its folders
IDX_FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
IDX_FILES = {"train-images-idx3-ubyte": (60_000, 28, 28), "t10k-images-idx3-ubyte": (10_000, 28, 28)}
IDX_LABELS = {"train-labels-idx1-ubyte": 60_000, "t10k-labels-idx1-ubyte": 10_000}
DATA_DIR_VARIABLE = "AESWEEP_DATA_DIR"


def load_dataset(
    name: str, *, path: Path | str | None = None, data_dir: Path | str | None = None, download: bool = False
) -> ImageData:
    """Loads a data set into memory and checks all of it.

    Args:
        name: "digits", "mnist", "fashion_mnist", "kmnist" or "cifar10"; with `path`, any name for those images.
        path: a folder of images, see `aesweep.data.image_folder`, or arrays, see `aesweep.data.arrays`.
        data_dir: folder with MNIST and the others in torchvision's layout; see `data_folder`.
        download: whether torchvision may fetch MNIST, Fashion-MNIST or Kuzushiji-MNIST into `data_dir` if it is not
            there.

    Raises:
        DataError: the data set is unknown, missing or damaged.
    """
    if path is not None:
        folder = _folder(name, path)
        return ImageData.of(name, *(read_arrays(folder) if are_arrays(folder) else read_image_folder(folder, name)))
    if name == "digits":
        return _digits()
    if name in IDX_FOLDERS:
        folder = data_folder(data_dir)
        raw = folder / IDX_FOLDERS[name] / "raw"
        if download and not is_there(name, data_dir):
            _download(name, folder)
        # [N, H, W] to [N, C, H, W]
        training, test = (read_idx_images(raw / file, shape)[:, None] for file, shape in IDX_FILES.items())
        labels = [read_idx_labels(raw / file, number) for file, number in IDX_LABELS.items()]
        return ImageData.of(name, training, test, None if any(found is None for found in labels) else Labels(*labels))
    if name == "cifar10":
        return ImageData.of(name, *read_cifar10(data_folder(data_dir)))
    known = ", ".join(("digits", *IDX_FOLDERS, "cifar10"))
    raise DataError(name, f"is no known data set, known are {known}", "for images of your own give their path as well")


def data_folder(data_dir: Path | str | None = None) -> Path:
    """Returns the folder with MNIST and the others: `data_dir`, else AESWEEP_DATA_DIR, else the user's cache."""
    if data_dir is None:
        data_dir = os.environ.get(DATA_DIR_VARIABLE) or None
    if data_dir is None:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        data_dir = Path(cache) / "aesweep" / "data"
    return _folder("the folder of data sets", data_dir)


def is_there(name: str, data_dir: Path | str | None = None) -> bool:
    """Returns whether all images of MNIST, or of another of its form, exist in `data_folder`, without reading them."""
    raw = data_folder(data_dir) / IDX_FOLDERS[name] / "raw"
    return all(_present(raw / file) for file in IDX_FILES)


def _folder(name: str, path: Path | str) -> Path:
    try:
        return user_path(path)
    except ValueError as error:
        raise DataError(name, str(error), "correct the path") from error


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

    dataset = getattr(torchvision.datasets, IDX_FOLDERS[name])
    raw = folder / IDX_FOLDERS[name] / "raw"
    try:
        raw.mkdir(parents=True, exist_ok=True)
        # torchvision prints to stdout, which is reserved for the caller's output.
        with tempfile.TemporaryDirectory(dir=folder) as temporary, contextlib.redirect_stdout(sys.stderr):
            dataset(temporary, download=True)
            for file in sorted((Path(temporary) / IDX_FOLDERS[name] / "raw").iterdir()):
                if file.suffix != ".gz" and not _present(raw / file.name):
                    file.replace(raw / file.name)
    except (OSError, RuntimeError) as error:  # torchvision wraps what its mirrors answered in a RuntimeError
        reason = " ".join(str(error).split())  # one line per mirror becomes one line
        remedy = f"check the network and the folder's permissions, or copy the files into {raw} yourself"
        raise DataError(folder, f"the download of {name} failed ({reason})", remedy) from error

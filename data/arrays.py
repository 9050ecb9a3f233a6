"""Reads images from NumPy's files: an .npz archive with the arrays `train` and `test`, or train.npy and test.npy.

Arrays hold bytes, N x H x W of grey or N x H x W x C of C channels, 1 or 3. Labels may lie beside them, as
`train_labels` and `test_labels`, whole numbers from 0; an archive may also have the names that Keras gives (x_train,
y_train, ...). Files are untrusted input: type and shape are checked from an array's header before memory is taken for
it, and arrays of objects, which are pickles, are refused with all other types.
"""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aesweep.data.image_data import DataError, Labels

MAX_ARRAY_BYTES = 8 * 1024**3
MAX_SIDE = 1024
PARTS = ("train", "test")
_KERAS = {"train": "x_train", "test": "x_test", "train_labels": "y_train", "test_labels": "y_test"}
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_REMEDY = "write it again with numpy.save or numpy.savez, as docs/STUDY_FILE.md says"


def are_arrays(path: Path) -> bool:
    """Returns whether a data set's path is an .npz archive, or a folder with train.npy."""
    return path.suffix == ".npz" or (path / "train.npy").exists()


def read_arrays(path: Path, name: str = "NAME") -> tuple[np.ndarray, np.ndarray, Labels | None]:
    """Reads a data set's images, and its labels if there are any.

    Args:
        path: an .npz archive, or a folder with train.npy and test.npy.
        name: the data set's name, for messages.

    Returns:
        Training and test images, uint8 [N, C, H, W], and their labels; None where one of the two is missing.

    Raises:
        DataError: a file or array is missing, unreadable, damaged, too large, or not what it should be.
    """
    if not path.exists():
        remedy = f"correct the path in the study, or say where it is with --images {name}=PATH"
        raise DataError(path, "not found", remedy)
    images = [_images(path, part) for part in PARTS]
    if images[0].shape[1:] != images[1].shape[1:]:
        shapes = " and ".join(" x ".join(map(str, found.shape[1:])) for found in images)
        raise DataError(path, f"has training and test images of different shapes, {shapes} (C x H x W)", _REMEDY)
    labels = [_labels(path, part, len(found)) for part, found in zip(PARTS, images, strict=True)]
    return images[0], images[1], None if labels[0] is None or labels[1] is None else Labels(*labels)


def _images(path: Path, part: str) -> np.ndarray:
    with _opened(path, part) as (file, place):
        if file is None:
            raise DataError(place, "not found", f"a data set needs the arrays {' and '.join(PARTS)}; {_REMEDY}")
        shape, is_fortran, dtype = _header(file, place, np.dtype(np.uint8))
        if len(shape) not in (3, 4) or 0 in shape or (len(shape) == 4 and shape[3] not in (1, 3)):
            raise DataError(place, f"has the shape {_shown(shape)}, expected N x H x W or N x H x W x 1 or 3", _REMEDY)
        if max(shape[1:3]) > MAX_SIDE:
            raise DataError(place, f"has images of {shape[1]} x {shape[2]} pixels, over {MAX_SIDE} a side", _REMEDY)
        images = _values(file, place, shape, is_fortran, dtype)
    if images.ndim == 3:
        return images[:, None]
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _labels(path: Path, part: str, num_images: int) -> np.ndarray | None:
    with _opened(path, f"{part}_labels") as (file, place):
        if file is None:
            return None
        shape, is_fortran, dtype = _header(file, place, None)
        if len([length for length in shape if length != 1]) > 1 or np.prod(shape) != num_images:
            raise DataError(place, f"has the shape {_shown(shape)}, expected {num_images:,} labels", _REMEDY)
        labels = _values(file, place, shape, is_fortran, dtype).reshape(-1).astype(np.int64)
    if labels.min() < 0:
        raise DataError(place, f"holds the label {labels.min()}, expected whole numbers from 0", _REMEDY)
    return labels


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[tuple[BinaryIO | None, str]]:
    """Yields an array's file, None where there is none, and how messages call it."""
    if path.suffix != ".npz":
        place = path / f"{name}.npy"
        try:
            if not place.exists():
                yield None, str(place)
                return
            with open(place, "rb") as file:
                yield file, str(place)
        except OSError as error:
            raise DataError(place, f"cannot be read ({error.strerror or error})", "make it readable") from error
        return
    place = f"{path}, array {name}"
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            found = next((known for known in (name, _KERAS[name]) if f"{known}.npy" in members), None)
            if found is None:
                yield None, place
                return
            with archive.open(f"{found}.npy") as file:
                yield file, f"{path}, array {found}"
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(path, f"is a damaged .npz archive ({error})", _REMEDY) from error
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror or error})", "correct the path") from error


def _header(file: BinaryIO, place: str, wanted: np.dtype | None) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Returns an array's shape, whether its columns come first, and its type, which is checked; None is any integer."""
    try:
        version = np.lib.format.read_magic(file)
        shape, is_fortran, dtype = _HEADERS[version](file)
    except (ValueError, KeyError, SyntaxError, TypeError) as error:
        raise DataError(place, f"is no array of NumPy ({str(error).splitlines()[0]})", _REMEDY) from error
    is_fitting = dtype == wanted if wanted is not None else dtype.kind in "iu"
    if not is_fitting:
        expected = "bytes from 0 to 255 (uint8)" if wanted is not None else "whole numbers"
        raise DataError(place, f"holds {dtype}, expected {expected}", _REMEDY)
    if np.prod(shape, dtype=object) * dtype.itemsize > MAX_ARRAY_BYTES:
        raise DataError(place, f"has the shape {_shown(shape)}, over {MAX_ARRAY_BYTES:,} bytes", "take fewer images")
    return shape, is_fortran, dtype


def _values(file: BinaryIO, place: str, shape: tuple[int, ...], is_fortran: bool, dtype: np.dtype) -> np.ndarray:
    num_bytes = int(np.prod(shape)) * dtype.itemsize
    content = file.read(num_bytes)
    if len(content) < num_bytes:
        raise DataError(place, f"is cut off: {len(content):,} of {num_bytes:,} bytes are there", _REMEDY)
    if file.read(1):
        raise DataError(place, f"goes on after the {num_bytes:,} bytes that its header promises", _REMEDY)
    return np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"

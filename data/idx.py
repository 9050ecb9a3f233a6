"""Reads images and labels from IDX files, the format of MNIST and of others like it, raw or gzipped.

The format (http://yann.lecun.com/exdb/mnist): two zero bytes, a byte for the type (8: unsigned bytes, 12: big-endian
32-bit numbers), a byte for the number of dimensions, each dimension as a big-endian 32-bit number, then the values in C
order.
"""

from __future__ import annotations

import gzip
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aesweep.data.image_data import DataError

# The first four bytes, without the number of dimensions, by the type of the values.
MAGIC = {np.dtype(np.uint8): 0x00000800, np.dtype(">i4"): 0x00000C00}
_REPLACE = "delete it and run again with --download, or name a folder with a good copy with --data-dir"
_SUPPLY = (
    "run again with --download, or name the folder that holds it (as torchvision lays it out) with --data-dir "
    "or AESWEEP_DATA_DIR"
)


def read_idx_images(path: Path, expected_shape: tuple[int, int, int]) -> np.ndarray:
    """Reads one file of images, or `<path>.gz` where only that exists.

    Args:
        path: the raw file.
        expected_shape: number of images, rows, columns; a file with another shape is refused.

    Returns:
        uint8, of `expected_shape`.

    Raises:
        DataError: the file is missing, unreadable, not an IDX file, of another shape, or not exactly as long as its
            header says.
    """
    return _checked(path, expected_shape, np.dtype(np.uint8))


def _checked(path: Path, expected_shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    path = _existing(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DataError(path, "expected a file, found something else (a folder or a device)", _REPLACE)
        if path.suffix != ".gz":
            with open(path, "rb") as file:
                return _read(file, path, expected_shape, dtype)
        with gzip.open(path, "rb") as file:
            return _read(file, path, expected_shape, dtype)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:  # BadGzipFile is an OSError: it has to come first
        raise DataError(path, f"is a damaged gzip file ({error})", _REPLACE) from error
    except OSError as error:
        remedy = "make it readable, or name another folder with --data-dir"
        raise DataError(path, f"cannot be read ({error.strerror or error})", remedy) from error


def read_idx_labels(path: Path, num_labels: int, num_columns: int = 0) -> np.ndarray | None:
    """Reads one file of labels, or `<path>.gz` where only that exists.

    Args:
        path: the raw file.
        num_labels: how many labels there must be.
        num_columns: 0 for a byte for each label; otherwise how many 32-bit numbers the file must hold for each, of
            which the first is the label, as in QMNIST.

    Returns:
        int64 [N]; None where neither file exists, since images can be used without labels.

    Raises:
        DataError: see `read_idx_images`; or a label is below 0.
    """
    if not any(os.path.lexists(candidate) for candidate in (path, path.with_name(path.name + ".gz"))):
        return None
    if not num_columns:
        return _checked(path, (num_labels,), np.dtype(np.uint8)).astype(np.int64)
    labels = _checked(path, (num_labels, num_columns), np.dtype(">i4"))[:, 0].astype(np.int64)
    if labels.min() < 0:
        raise DataError(path, f"holds the label {labels.min()}, expected whole numbers from 0", _REPLACE)
    return labels


def _existing(path: Path) -> Path:
    zipped = path.with_name(path.name + ".gz")
    for candidate in (path, zipped):
        # Path.exists would report a dangling link as missing, instead of letting the read name the actual fault.
        if os.path.lexists(candidate):
            return candidate
    raise DataError(path, "not found", _SUPPLY)


def _read(file: BinaryIO, path: Path, expected_shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    form, expected_magic = struct.Struct(f">{1 + len(expected_shape)}I"), MAGIC[dtype] + len(expected_shape)
    kind, unit = {3: ("images", "pixels"), 2: ("labels", "numbers"), 1: ("labels", "labels")}[len(expected_shape)]
    header = file.read(form.size)
    if not header:
        raise DataError(path, "is empty", _REPLACE)
    if len(header) < form.size:
        raise DataError(path, f"is cut off: {len(header)} bytes, the header alone has {form.size}", _REPLACE)
    magic, *shape = form.unpack(header)
    if magic != expected_magic:
        raise DataError(path, f"starts with {magic:#010x}, expected {expected_magic:#010x} (IDX {kind})", _REPLACE)
    if tuple(shape) != expected_shape:
        raise DataError(path, f"holds {_shown(shape)} {kind}, expected {_shown(expected_shape)}", _REPLACE)
    # The header is trusted only now, so that no file can ask for more memory than its data set needs.
    values = np.empty(expected_shape, dtype)
    num_bytes = file.readinto(values.reshape(-1).view(np.uint8).data)
    if num_bytes < values.nbytes:
        there = num_bytes // dtype.itemsize
        raise DataError(path, f"is cut off: {there:,} of {values.size:,} {unit} are there", _REPLACE)
    if file.read(1):
        raise DataError(path, f"goes on after the {values.size:,} {unit} that its header promises", _REPLACE)
    return values


def _shown(shape: tuple[int, ...] | list[int]) -> str:
    number, *sides = shape
    return f"{number:,} of {' x '.join(map(str, sides))}" if sides else f"{number:,}"

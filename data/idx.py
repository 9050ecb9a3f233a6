"""Reads images from IDX files, the format of MNIST and Fashion-MNIST, raw or gzipped.

The format (http://yann.lecun.com/exdb/mnist): two zero bytes, a byte for the type (8: unsigned bytes), a byte for the
number of dimensions, each dimension as a big-endian 32-bit number, then the values in C order.
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

MAGIC = 0x00000800  # unsigned bytes; the last byte is the number of dimensions, three of images and one of labels
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
    return _checked(path, expected_shape)


def _checked(path: Path, expected_shape: tuple[int, ...]) -> np.ndarray:
    path = _existing(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DataError(path, "expected a file, found something else (a folder or a device)", _REPLACE)
        if path.suffix != ".gz":
            with open(path, "rb") as file:
                return _read(file, path, expected_shape)
        with gzip.open(path, "rb") as file:
            return _read(file, path, expected_shape)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:  # BadGzipFile is an OSError: it has to come first
        raise DataError(path, f"is a damaged gzip file ({error})", _REPLACE) from error
    except OSError as error:
        remedy = "make it readable, or name another folder with --data-dir"
        raise DataError(path, f"cannot be read ({error.strerror or error})", remedy) from error


def read_idx_labels(path: Path, num_labels: int) -> np.ndarray | None:
    """Reads one file of labels, or `<path>.gz` where only that exists.

    Args:
        path: the raw file.
        num_labels: how many labels there must be.

    Returns:
        int64 [N]; None where neither file exists, since images can be used without labels.

    Raises:
        DataError: see `read_idx_images`.
    """
    if not any(os.path.lexists(candidate) for candidate in (path, path.with_name(path.name + ".gz"))):
        return None
    return _checked(path, (num_labels,)).astype(np.int64)


def _existing(path: Path) -> Path:
    zipped = path.with_name(path.name + ".gz")
    for candidate in (path, zipped):
        # Path.exists would report a dangling link as missing, instead of letting the read name the actual fault.
        if os.path.lexists(candidate):
            return candidate
    raise DataError(path, "not found", _SUPPLY)


def _read(file: BinaryIO, path: Path, expected_shape: tuple[int, ...]) -> np.ndarray:
    form, expected_magic = struct.Struct(f">{1 + len(expected_shape)}I"), MAGIC + len(expected_shape)
    kind, unit = ("images", "pixels") if len(expected_shape) > 1 else ("labels", "labels")
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
    images = np.empty(expected_shape, dtype=np.uint8)
    num_bytes = file.readinto(images.reshape(-1).data)
    if num_bytes < images.size:
        raise DataError(path, f"is cut off: {num_bytes:,} of {images.size:,} {unit} are there", _REPLACE)
    if file.read(1):
        raise DataError(path, f"goes on after the {images.size:,} {unit} that its header promises", _REPLACE)
    return images


def _shown(shape: tuple[int, ...] | list[int]) -> str:
    number, *sides = shape
    return f"{number:,} of {sides[0]} x {sides[1]}" if sides else f"{number:,}"

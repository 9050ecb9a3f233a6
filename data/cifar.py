"""Reads CIFAR-10 from its binary version: https://www.cs.toronto.edu/~kriz/cifar.html.

Six files of 10,000 records, each a byte of label and 3,072 bytes of an image: red, green and blue, each 32 x 32. The
version for Python is a pickle and is not read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aesweep.data.image_data import DataError, Labels

FOLDER = "cifar-10-batches-bin"
TRAINING = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = ("test_batch.bin",)
NUM_RECORDS, SHAPE, NUM_CLASSES = 10_000, (3, 32, 32), 10
_REMEDY = (
    f"unpack the binary version (cifar-10-binary.tar.gz) so that {FOLDER} lies in the folder of data sets, named by "
    "--data-dir or AESWEEP_DATA_DIR"
)


def read_cifar10(data_dir: Path) -> tuple[np.ndarray, np.ndarray, Labels]:
    """Reads the data set.

    Args:
        data_dir: the folder that holds `cifar-10-batches-bin`.

    Returns:
        Training and test images, uint8 [N, 3, 32, 32], and their labels.

    Raises:
        DataError: a file is missing, unreadable, or not of the length and labels that it should have.
    """
    folder = data_dir / FOLDER
    (training, training_labels), (test, test_labels) = (_read(folder, files) for files in (TRAINING, TEST))
    return training, test, Labels(training_labels, test_labels)


def _read(folder: Path, files: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    record = 1 + int(np.prod(SHAPE))
    parts = []
    for path in (folder / file for file in files):
        try:
            if not path.is_file():
                raise DataError(path, "not found", _REMEDY)
            size = path.stat().st_size
            if size != NUM_RECORDS * record:
                raise DataError(path, f"has {size:,} bytes, expected {NUM_RECORDS * record:,}", _REMEDY)
            parts.append(np.fromfile(path, np.uint8).reshape(NUM_RECORDS, record))
        except OSError as error:
            raise DataError(path, f"cannot be read ({error.strerror or error})", "make it readable") from error
        if parts[-1][:, 0].max() >= NUM_CLASSES:
            raise DataError(path, f"holds the label {parts[-1][:, 0].max()}, expected 0 to {NUM_CLASSES - 1}", _REMEDY)
    records = np.concatenate(parts)
    return np.ascontiguousarray(records[:, 1:]).reshape(-1, *SHAPE), records[:, 0].astype(np.int64)

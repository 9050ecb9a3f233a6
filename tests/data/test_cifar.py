"""CIFAR-10 from its binary version, made up here: records of a label and an image."""

import numpy as np
import pytest

from aesweep.data.cifar import FOLDER, TEST, TRAINING
from aesweep.data.datasets import load_dataset
from aesweep.data.image_data import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("cifar")
    (root / FOLDER).mkdir()
    for number, file in enumerate((*TRAINING, *TEST)):
        records = np.empty((10_000, 3073), np.uint8)
        records[:, 0] = np.arange(10_000) % 10
        records[:, 1:] = number
        records[7, 1], records[7, 1 + 1024], records[7, 1 + 2 * 1024 + 33] = 101, 102, 103
        records.tofile(root / FOLDER / file)
    return root


def test_colours_rows_and_columns_and_labels_are_in_their_places(folder):
    data = load_dataset("cifar10", data_dir=folder)
    assert data.training.shape == (50_000, 3, 32, 32) and data.test.shape == (10_000, 3, 32, 32)
    assert (data.training[::10_000, 0, 5, 5] == np.arange(5)).all() and (data.test[0] == 5).all()
    for image in (data.training[10_007], data.test[7]):
        assert (image[0, 0, 0], image[1, 0, 0], image[2, 1, 1]) == (101, 102, 103)
    assert (data.labels.training[:20] == np.arange(20) % 10).all() and len(data.labels.test) == 10_000


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "not found; unpack the binary version"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "has 30,729,999 bytes, expected 30,730,000"),
        (lambda path: path.write_bytes(b"\xff" + path.read_bytes()[1:]), "holds the label 255, expected 0 to 9"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(folder, tmp_path, spoil, message):
    (tmp_path / FOLDER).mkdir()
    for path in (folder / FOLDER).iterdir():
        (tmp_path / FOLDER / path.name).hardlink_to(path)
    spoiled = tmp_path / FOLDER / "data_batch_3.bin"
    content = spoiled.read_bytes()
    spoiled.unlink()
    spoiled.write_bytes(content)
    spoil(spoiled)
    with pytest.raises(DataError, match=f"data_batch_3.bin: {message}"):
        load_dataset("cifar10", data_dir=tmp_path)

"""Images in NumPy's files: what is read, and that nothing else is, nor more memory taken than was promised."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aesweep.data import arrays
from aesweep.data.arrays import read_arrays
from aesweep.data.datasets import load_dataset
from aesweep.data.image_data import DataError

GREY = np.random.default_rng(0).integers(0, 256, (9, 5, 4), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (9, 5, 4, 3), dtype=np.uint8)
LABELS = np.arange(9) % 3


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def archive(path, **members) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content if isinstance(content, bytes) else npy(content))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("images", [GREY, COLOUR, GREY[..., None], np.asfortranarray(COLOUR)], ids=["2", "3", "1", "F"])
def test_an_archive_of_images_and_labels_is_read(tmp_path, save, images):
    save(tmp_path / "a.npz", train=images[:6], test=images[6:], train_labels=LABELS[:6], test_labels=LABELS[6:])
    data = load_dataset("mine", path=tmp_path / "a.npz")
    expected = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(data.training, expected[:6])
    np.testing.assert_array_equal(data.test, expected[6:])
    np.testing.assert_array_equal(data.labels.training, LABELS[:6])
    np.testing.assert_array_equal(data.labels.test, LABELS[6:])
    assert data.training.flags.c_contiguous and data.labels.test.dtype == np.int64


def test_a_folder_of_arrays_and_keras_names_are_read(tmp_path):
    np.save(tmp_path / "train.npy", GREY[:6])
    np.save(tmp_path / "test.npy", GREY[6:])
    folder = load_dataset("mine", path=tmp_path)
    assert folder.labels is None
    keras = tmp_path / "mnist.npz"
    np.savez(keras, x_train=GREY[:6], x_test=GREY[6:], y_train=LABELS[:6, None].astype(np.uint8), y_test=LABELS[6:])
    data = load_dataset("mine", path=keras)
    assert data.sha256 == folder.sha256
    np.testing.assert_array_equal(data.labels.training, LABELS[:6])


def test_labels_of_one_part_alone_are_none(tmp_path):
    archive(tmp_path / "a.npz", train=GREY[:6], test=GREY[6:], test_labels=LABELS[6:])
    assert read_arrays(tmp_path / "a.npz")[2] is None


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"test": GREY}, "a.npz, array train: not found; a data set needs the arrays train and test"),
        (
            {"train": GREY.astype(float), "test": GREY},
            "array train: holds float64, expected bytes from 0 to 255",
        ),
        ({"train": GREY.astype(object), "test": GREY}, "array train: holds object, expected bytes"),
        (
            {"train": GREY[0], "test": GREY},
            "array train: has the shape 5 x 4, expected N x H x W or",
        ),
        ({"train": GREY[:0], "test": GREY}, "array train: has the shape 0 x 5 x 4, expected"),
        ({"train": COLOUR[..., :2], "test": GREY}, "array train: has the shape 9 x 5 x 4 x 2, expected"),
        ({"train": GREY, "test": COLOUR}, "images of different shapes, 1 x 5 x 4 and 3 x 5 x 4"),
        ({"train": np.zeros((1, 1025, 1), np.uint8), "test": GREY}, "has images of 1025 x 1 pixels, over 1024 a side"),
        ({"train": GREY, "test": GREY, "train_labels": LABELS[:5]}, "array train_labels: has the shape 5, expected 9"),
        (
            {"train": GREY, "test": GREY, "train_labels": LABELS - 1},
            "holds the label -1, expected whole numbers",
        ),
        ({"train": GREY, "test": GREY, "train_labels": LABELS / 2}, "holds float64, expected whole numbers"),
        ({"train": b"no array", "test": GREY}, "array train: is no array of NumPy"),
        ({"train": npy(GREY)[:-1], "test": GREY}, "array train: is cut off: 179 of 180 bytes are there"),
        ({"train": npy(GREY) + b"x", "test": GREY}, "array train: goes on after the 180 bytes"),
    ],
)
def test_what_is_no_data_set_is_refused_with_its_array(tmp_path, members, message):
    archive(tmp_path / "a.npz", **members)
    with pytest.raises(DataError, match=message):
        read_arrays(tmp_path / "a.npz")


def test_a_header_that_promises_terabytes_is_refused_without_taking_them(tmp_path):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (2**40, 5, 4)})
    archive(tmp_path / "a.npz", train=buffer.getvalue(), test=GREY)
    with pytest.raises(DataError, match="over 8,589,934,592 bytes"):
        read_arrays(tmp_path / "a.npz")


def test_a_pickle_inside_is_never_loaded(tmp_path):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|O", "fortran_order": False, "shape": (1, 1, 1)})
    archive(tmp_path / "a.npz", train=buffer.getvalue() + b"cos\nsystem\n(S'touch gone'\ntR.", test=GREY)
    with pytest.raises(DataError, match="holds object"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all", npy(GREY)])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a.npz: (is a damaged .npz archive|cannot be read)"):
        read_arrays(tmp_path / "a.npz")
    with pytest.raises(DataError, match="not found"):
        read_arrays(tmp_path / "b.npz")


@given(place=st.integers(0, 400), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed_or_gives_an_array_of_bytes(tmp_path_factory, place, bit):
    path = tmp_path_factory.mktemp("flipped") / "a.npz"
    archive(path, train=GREY[:6], test=GREY[6:])
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    try:
        training, test, _ = arrays.read_arrays(path)
    except DataError:
        return
    assert training.dtype == test.dtype == np.uint8
    assert training.shape[1:] == test.shape[1:]


@pytest.mark.parametrize("name", ["gone.npz", "gone"])
def test_missing_images_of_ones_own_are_told_with_the_option_that_names_them(tmp_path, name):
    with pytest.raises(DataError, match=f"{name}: not found.*say where it is with --images mine=PATH") as caught:
        load_dataset("mine", path=tmp_path / name)
    assert len(str(caught.value).splitlines()) == 1


def test_file_that_is_no_archive_is_told_what_may_be_given(tmp_path):
    (tmp_path / "faces.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"faces.zip: is a file, expected a folder of images or an .npz archive"):
        load_dataset("mine", path=tmp_path / "faces.zip")

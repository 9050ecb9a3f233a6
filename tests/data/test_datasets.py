"""Data sets by name: what is loaded, where it is looked for, and what stays unimported."""

import functools
import gzip
import hashlib
import http.server
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from aesweep.data.datasets import data_folder, load_dataset
from aesweep.data.image_data import DataError, ImageData
from tests.local_http import Quiet, served


def test_digits_are_scikit_learns_scaled_to_bytes():
    data = load_dataset("digits")
    assert data.training.shape == (1437, 1, 8, 8) and data.test.shape == (360, 1, 8, 8)
    images = np.concatenate([data.training, data.test])[:, 0]
    # Each grey level k of 17 lies within half a byte step of 255 k / 16.
    assert np.abs(images - load_digits().images * 255 / 16).max() <= 0.5
    assert images.min() == 0 and images.max() == 255


def test_digits_are_the_same_every_time():
    assert load_dataset("digits").sha256 == load_dataset("digits").sha256


def test_the_hash_covers_shape_and_bytes_of_training_and_test():
    images = np.random.default_rng(3).integers(0, 256, (7, 1, 4, 6), dtype=np.uint8)
    base = ImageData.of("a", images[:4], images[4:])
    by_hand = b"4x1x4x6\n" + images[:4].tobytes() + b"3x1x4x6\n" + images[4:].tobytes()
    assert base.sha256 == hashlib.sha256(by_hand).hexdigest()
    flipped = images.copy()
    flipped[6, 0, 3, 5] ^= 1
    turned = images.reshape(7, 1, 6, 4)
    others = [(flipped[:4], flipped[4:]), (images[:3], images[3:]), (turned[:4], turned[4:])]
    assert len({base.sha256, *(ImageData.of("a", *parts).sha256 for parts in others)}) == 4


def test_the_hash_does_not_depend_on_memory_layout():
    images = np.random.default_rng(3).integers(0, 256, (7, 1, 4, 6), dtype=np.uint8)
    fortran = np.asfortranarray(images)
    assert ImageData.of("a", images, images).sha256 == ImageData.of("b", fortran, fortran).sha256


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        DataError,
        match=r"^cifar: is no known data set, known are digits, mnist, .*, emnist_letters, .*, cifar10; ",
    ):
        load_dataset("cifar")


def test_the_data_folder_is_the_argument_then_the_variable_then_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("AESWEEP_DATA_DIR", str(tmp_path / "variable"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert data_folder(tmp_path / "argument") == tmp_path / "argument"
    assert data_folder() == tmp_path / "variable"
    monkeypatch.setenv("AESWEEP_DATA_DIR", "")
    assert data_folder() == tmp_path / "cache" / "aesweep" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_folder() == tmp_path / "home" / ".cache" / "aesweep" / "data"


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_missing_files_are_named_where_they_were_looked_for(tmp_path, name, folder):
    with pytest.raises(DataError, match="not found; run again with --download") as caught:
        load_dataset(name, data_dir=tmp_path)
    assert str(caught.value).startswith(str(tmp_path / folder / "raw" / "train-images-idx3-ubyte"))


def test_training_and_test_files_that_changed_places_are_refused(mirror, tmp_path):
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").symlink_to(mirror / "t10k-images-idx3-ubyte.gz")
    with pytest.raises(DataError, match="holds 10,000 of 28 x 28 images, expected 60,000 of 28 x 28"):
        load_dataset("mnist", data_dir=tmp_path / "data")


@pytest.mark.parametrize(
    ("action", "heavy"),
    [
        ("import aesweep.data", "torch torchvision ray sklearn skimage"),
        ("import aesweep.data; aesweep.data.load_dataset('digits')", "torch torchvision ray"),
    ],
)
def test_heavy_packages_stay_unimported(action, heavy):
    code = f"import sys; {action}; sys.exit(' '.join(set({heavy.split()}) & set(sys.modules)) or None)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def mirror(tmp_path_factory) -> Path:
    """Archives as MNIST's mirrors hold them, with empty pictures in them."""
    folder = tmp_path_factory.mktemp("mirror")
    for part, num_images in (("train", 60_000), ("t10k", 10_000)):
        images = struct.pack(">4I", 0x803, num_images, 28, 28) + bytes(num_images * 784)
        labels = struct.pack(">2I", 0x801, num_images) + bytes(num_images)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, 1))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels, 1))
    return folder


@pytest.fixture
def torchvision_mnist(mirror, monkeypatch) -> Iterator[type]:
    """torchvision's MNIST, which downloads from `mirror`, served on this machine, in place of the network."""
    import torchvision  # takes seconds, which the other tests do without

    mnist = torchvision.datasets.MNIST
    resources = [(name, hashlib.md5((mirror / name).read_bytes()).hexdigest()) for name, _ in mnist.resources]
    with served(functools.partial(_Files, directory=mirror)) as url:
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(mnist, "resources", resources)
        monkeypatch.setattr(mnist, "mirrors", [f"{url}/"])
        yield mnist


class _Files(Quiet, http.server.SimpleHTTPRequestHandler):
    """The files of a folder."""


def test_download_fetches_what_is_missing_and_leaves_nothing_else(torchvision_mnist, tmp_path, capsys):
    data = load_dataset("mnist", data_dir=tmp_path, download=True)
    assert data.training.shape == (60_000, 1, 28, 28) and data.test.shape == (10_000, 1, 28, 28)
    assert capsys.readouterr().out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]
    assert load_dataset("mnist", data_dir=tmp_path).sha256 == data.sha256


def test_download_leaves_files_alone_that_are_there(torchvision_mnist, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "t10k-images-idx3-ubyte").write_bytes(b"mine")
    with pytest.raises(DataError, match="is cut off"):
        load_dataset("mnist", data_dir=tmp_path, download=True)
    assert (raw / "t10k-images-idx3-ubyte").read_bytes() == b"mine"


def test_a_failed_download_says_what_to_do(torchvision_mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision_mnist, "mirrors", [f"{torchvision_mnist.mirrors[0]}nowhere/"])
    with pytest.raises(DataError, match=r"the download of mnist failed \(.*nowhere.*\); check the network") as caught:
        load_dataset("mnist", data_dir=tmp_path / "data", download=True)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(DataError, match="not found"):
        load_dataset("mnist", data_dir=tmp_path / "data")


def test_a_download_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="the download of mnist failed"):
        load_dataset("mnist", data_dir=tmp_path / "file", download=True)

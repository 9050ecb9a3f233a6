"""Data sets in torchvision's layout: their files are torchvision's, and are read as torchvision reads them, upright."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import http.server
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torchvision
from click.testing import CliRunner

from aesweep.cli.commands import commands
from aesweep.data.catalogue import IDX_DATASETS, KNOWN_DATASETS
from aesweep.data.datasets import load_dataset
from aesweep.data.image_data import DataError
from aesweep.report.rows.names import DATASET_NAMES
from aesweep.study.study_file import check_study
from tests.local_http import Quiet, served

EMNIST = [name for name in IDX_DATASETS if name.startswith("emnist_")]
NUM_TRAINING, NUM_TEST = 1203, 17  # more than are transposed at a time


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    for name, known in IDX_DATASETS.items():
        parts = {
            "training": known.training._replace(num_images=NUM_TRAINING),
            "test": known.test._replace(num_images=NUM_TEST),
        }
        monkeypatch.setitem(IDX_DATASETS, name, dataclasses.replace(known, **parts))


def write(name: str, data_dir: Path, gzipped: bool = False) -> None:
    """Writes a data set's files from the format's description, with random pixels and labels."""
    known, random = IDX_DATASETS[name], np.random.default_rng(5)
    raw = data_dir / known.folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for images, labels, number in known.parts:
        pixels = random.integers(0, 256, (number, 28, 28), dtype=np.uint8)
        contents = {images: struct.pack(">4I", 0x803, number, 28, 28) + pixels.tobytes()}
        if name == "qmnist":
            columns = random.integers(0, 10, (number, 8)).astype(">i4")
            contents[labels] = struct.pack(">3I", 0xC02, number, 8) + columns.tobytes()
        else:
            contents[labels] = struct.pack(">2I", 0x801, number) + bytes(random.integers(0, 10, number).tolist())
        for file, content in contents.items():
            if gzipped:
                (raw / f"{file}.gz").write_bytes(gzip.compress(content))
            else:
                (raw / file).write_bytes(content)


def torchvisions(name: str, data_dir: Path, is_training: bool):
    """The same part of the data set as torchvision reads it, its images [N, H, W] and its classes [N]."""
    known = IDX_DATASETS[name]
    options = {"split": known.split} if known.split else {}
    found = getattr(torchvision.datasets, known.folder)(str(data_dir), train=is_training, **options)
    return found.data.numpy(), found.targets.reshape(len(found.data), -1)[:, 0].numpy()


@pytest.mark.parametrize("name", IDX_DATASETS)
def test_files_are_read_as_torchvision_reads_them(name, tmp_path):
    write(name, tmp_path)
    data = load_dataset(name, data_dir=tmp_path)
    for images, labels, is_training in (
        (data.training, data.labels.training, True),
        (data.test, data.labels.test, False),
    ):
        pixels, classes = torchvisions(name, tmp_path, is_training)
        # torchvision's documentation of EMNIST leaves the exchange of rows and columns to its users.
        np.testing.assert_array_equal(images[:, 0], pixels.transpose(0, 2, 1) if name in EMNIST else pixels)
        np.testing.assert_array_equal(labels, classes)


@pytest.mark.parametrize("name", ["qmnist", "emnist_letters"])
def test_gzipped_files_hold_the_same(name, tmp_path):
    write(name, tmp_path / "raw")
    write(name, tmp_path / "gzipped", gzipped=True)
    raw, gzipped = (load_dataset(name, data_dir=tmp_path / folder) for folder in ("raw", "gzipped"))
    assert raw.sha256 == gzipped.sha256
    np.testing.assert_array_equal(raw.labels.training, gzipped.labels.training)


@pytest.mark.parametrize("name", ["qmnist", "emnist_letters"])
def test_images_without_labels_are_read(name, tmp_path):
    write(name, tmp_path)
    (tmp_path / IDX_DATASETS[name].folder / "raw" / IDX_DATASETS[name].test.labels).unlink()
    assert load_dataset(name, data_dir=tmp_path).labels is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (struct.pack(">3I", 0xC02, NUM_TEST, 1) + bytes(4 * NUM_TEST), "holds 17 of 1 labels, expected 17 of 8"),
        (struct.pack(">2I", 0x801, NUM_TEST) + bytes(NUM_TEST), "starts with 0x00000801, expected 0x00000c02"),
        (struct.pack(">3I", 0xC02, NUM_TEST, 8) + bytes(32 * NUM_TEST - 1), "is cut off: 135 of 136 numbers"),
        (struct.pack(">3I", 0xC02, NUM_TEST, 8) + bytes(32 * NUM_TEST + 1), "goes on after the 136 numbers"),
        (struct.pack(">3I", 0xC02, NUM_TEST, 8) + b"\xff" * 32 * NUM_TEST, "holds the label -1, expected whole"),
    ],
)
def test_labels_of_another_form_are_refused(tmp_path, content, expected):
    write("qmnist", tmp_path)
    (tmp_path / "QMNIST" / "raw" / "qmnist-test-labels-idx2-int").write_bytes(content)
    with pytest.raises(DataError, match=expected) as caught:
        load_dataset("qmnist", data_dir=tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_splits_that_lie_in_one_folder_are_pushed_and_pulled_side_by_side(tmp_path):
    names = ("emnist_letters", "emnist_digits")
    for name in names:
        write(name, tmp_path / "home")

    def call(*arguments: object) -> None:
        done = CliRunner().invoke(commands, ["data", *map(str, arguments)])
        assert done.exit_code == 0, done.stderr

    call("push", *names, "--to", tmp_path / "storage", "--data-dir", tmp_path / "home")
    call("pull", *names, "--from", tmp_path / "storage", "--data-dir", tmp_path / "node")
    for name in names:
        pulled, pushed = (load_dataset(name, data_dir=tmp_path / folder) for folder in ("node", "home"))
        assert pulled.sha256 == pushed.sha256 and pulled.labels is not None


class _Files(Quiet, http.server.SimpleHTTPRequestHandler):
    """The files of a folder."""


@pytest.mark.parametrize("name", ["qmnist", "emnist_letters"])
def test_download_puts_every_file_into_place(name, tmp_path, monkeypatch):
    known, mirror = IDX_DATASETS[name], tmp_path / "mirror"
    write(name, mirror, gzipped=True)
    files = mirror / known.folder / "raw"
    with zipfile.ZipFile(files / "gzip.zip", "w") as archive:
        for path in sorted(files.glob("*.gz")):
            archive.write(path, f"gzip/{path.name}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with served(functools.partial(_Files, directory=files)) as url:
        dataset = getattr(torchvision.datasets, known.folder)
        if name == "qmnist":
            for part in ("train", "test"):
                named = [f"qmnist-{part}-images-idx3-ubyte.gz", f"qmnist-{part}-labels-idx2-int.gz"]
                sums = [hashlib.md5((files / file).read_bytes()).hexdigest() for file in named]
                resources = [(f"{url}/{file}", found) for file, found in zip(named, sums, strict=True)]
                monkeypatch.setitem(dataset.resources, part, resources)
        else:
            monkeypatch.setattr(dataset, "url", f"{url}/gzip.zip")
            monkeypatch.setattr(dataset, "md5", hashlib.md5((files / "gzip.zip").read_bytes()).hexdigest())
        data = load_dataset(name, data_dir=tmp_path / "data", download=True)
    assert data.sha256 == load_dataset(name, data_dir=mirror).sha256 and data.labels is not None
    assert sorted(path.name for path in (tmp_path / "data").rglob("*") if path.is_file()) == sorted(
        [*known.image_files, *known.label_files]
    )


def test_every_known_data_set_is_one_of_a_study_and_has_a_title(small_study):
    study = check_study({**small_study, "datasets": [*KNOWN_DATASETS]}, "study")
    assert [dataset.name for dataset in study.datasets] == [*KNOWN_DATASETS]
    assert DATASET_NAMES.keys() == {*KNOWN_DATASETS}


def test_doctor_looks_for_no_images_of_a_users_own_in_a_storage(small_study, write_study, tmp_path):
    path = write_study({**small_study, "datasets": [{"name": "kmnist", "path": "mine.npz"}]})
    done = CliRunner().invoke(commands, ["doctor", "--study", str(path), "--data", str(tmp_path / "storage"), "--json"])
    assert '"kmnist"' not in done.stdout

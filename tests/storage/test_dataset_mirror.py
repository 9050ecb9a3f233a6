"""Data sets in a storage: what a node brings from there is whole, or is not brought, and leads nowhere else."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from aesweep.cli.commands import commands
from aesweep.data.catalogue import IDX_DATASETS
from aesweep.data.datasets import load_dataset
from aesweep.run.preflight import doctor, rehearsal
from aesweep.storage.dataset_mirror import push_dataset
from aesweep.storage.object_store import Storage

TRAINING, TEST = IDX_DATASETS["mnist"].image_files


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    for name, known in IDX_DATASETS.items():
        training, test = (part._replace(num_images=number) for part, number in zip(known.parts, (40, 20), strict=True))
        monkeypatch.setitem(IDX_DATASETS, name, dataclasses.replace(known, training=training, test=test))


@pytest.fixture
def home(tmp_path) -> Path:
    """A data folder with both data sets, one file of them gzipped."""
    for folder, seed in (("MNIST", 1), ("FashionMNIST", 2)):
        raw = tmp_path / "home" / folder / "raw"
        raw.mkdir(parents=True)
        for part in IDX_DATASETS["mnist"].parts:
            pixels = np.random.default_rng(seed).integers(0, 256, part.shape, dtype=np.uint8)
            (raw / part.images).write_bytes(struct.pack(">4I", 0x803, *part.shape) + pixels.tobytes())
    zipped = tmp_path / "home" / "MNIST" / "raw" / TEST
    zipped.with_name(f"{TEST}.gz").write_bytes(gzip.compress(zipped.read_bytes()))
    zipped.unlink()
    return tmp_path / "home"


@pytest.fixture(params=["disk", "s3"])
def url(request, tmp_path) -> str:
    """Of an empty storage."""
    if request.param == "disk":
        return str(tmp_path / "storage")
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


@pytest.fixture
def node(tmp_path) -> Path:
    """A data folder without anything in it."""
    return tmp_path / "node"


def call(*arguments: object):
    return CliRunner().invoke(commands, ["data", *(str(argument) for argument in arguments)])


def push(home, url, *names):
    done = call("push", *(names or ("mnist",)), "--to", url, "--data-dir", home)
    assert done.exit_code == 0, done.stderr


def pull(url, node, *names):
    return call("pull", *(names or ("mnist",)), "--from", url, "--data-dir", node, "--json")


def refused(done) -> str:
    """The one line of a command that exited with 65."""
    assert (done.exit_code, done.stdout) == (65, "")
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith(("data push: ", "data pull: "))]
    return line


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_node_gets_the_images_that_were_pushed(home, url, node):
    push(home, url, "mnist", "fashion_mnist")
    done = pull(url, node, "mnist", "fashion_mnist")
    assert done.exit_code == 0
    assert {name: len(paths) for name, paths in json.loads(done.stdout).items()} == {"mnist": 2, "fashion_mnist": 2}
    assert files(node) == [
        f"{folder}/raw/{file}" for folder in ("FashionMNIST", "MNIST") for file in sorted((TRAINING, TEST))
    ]
    for name in ("mnist", "fashion_mnist"):
        assert load_dataset(name, data_dir=node).sha256 == load_dataset(name, data_dir=home).sha256


def test_second_pull_brings_and_changes_nothing(home, url, node):
    push(home, url)
    pull(url, node)
    before = {path: path.stat().st_mtime_ns for path in node.rglob("*")}
    assert json.loads(pull(url, node).stdout) == {"mnist": []}
    assert {path: path.stat().st_mtime_ns for path in node.rglob("*")} == before


@pytest.mark.parametrize("damage", [None, b"", b"cut off"])
def test_pull_brings_what_is_missing_or_damaged_on_the_node_alone(home, url, node, damage):
    push(home, url)
    pull(url, node)
    path = node / "MNIST" / "raw" / TEST
    path.unlink() if damage is None else path.write_bytes(damage)
    assert json.loads(pull(url, node).stdout) == {"mnist": [str(path)]}
    assert load_dataset("mnist", data_dir=node).sha256 == load_dataset("mnist", data_dir=home).sha256


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content[:-1] + b"\0", lambda _: b""])
def test_damaged_file_takes_no_place_and_those_before_it_stay(home, url, node, damage):
    push(home, url)
    storage = Storage(url)
    storage.write(f"MNIST/raw/{TEST}", damage(storage.read(f"MNIST/raw/{TEST}")))
    line = refused(pull(url, node))
    assert f"{url}/MNIST/raw/{TEST}: is damaged: its SHA-256 is" in line and "`aesweep data push mnist`" in line
    assert files(node) == [f"MNIST/raw/{TRAINING}"]
    push(home, url)
    assert [Path(path).name for path in json.loads(pull(url, node).stdout)["mnist"]] == [TEST]


@pytest.mark.parametrize("name", [f"raw/{TEST}", "manifest.json"])
def test_missing_file_is_told(home, url, node, name):
    push(home, url)
    Storage(url).remove(f"MNIST/{name}")
    assert f"{url}/MNIST/{name}: not found" in refused(pull(url, node))


def test_storage_without_the_data_set_is_told(url, node):
    assert f"{url}/MNIST/manifest.json: not found; `aesweep data push mnist`" in refused(pull(url, node))


def test_labels_go_with_the_images_where_there_are_any(home, url, node):
    for _, file, number in IDX_DATASETS["mnist"].parts:
        labels = np.arange(number, dtype=np.uint8) % 10
        (home / "MNIST" / "raw" / file).write_bytes(struct.pack(">2I", 0x801, number) + labels.tobytes())
    push(home, url)
    pull(url, node)
    data = load_dataset("mnist", data_dir=node)
    np.testing.assert_array_equal(data.labels.training, np.arange(40) % 10)
    np.testing.assert_array_equal(data.labels.test, np.arange(20) % 10)


HASHES = dict.fromkeys((TRAINING, TEST), "0" * 64)
MANIFESTS = {
    "empty": b"",
    "cut off": json.dumps({"sha256": HASHES}).encode()[:-9],
    "no UTF-8": b"\xff\xfe\xfd",
    "a list": b"[]",
    "a number": b"7",
    "no hashes": b"{}",
    "other hashes": json.dumps({"sha256": [*HASHES]}).encode(),
    "a file too few": json.dumps({"sha256": {TRAINING: "0" * 64}}).encode(),
    **{
        f"{path} too many": json.dumps({"sha256": {**HASHES, path: "0" * 64}}).encode()
        for path in ("../../outside", "/tmp/outside", f"../raw/{TEST}", "train-labels-idx1-ubyte", "..\\outside", "\n")
    },
    "a file elsewhere": json.dumps({"sha256": {TRAINING: "0" * 64, f"../{TEST}": "0" * 64}}).encode(),
    "a short hash": json.dumps({"sha256": {**HASHES, TEST: "0" * 63}}).encode(),
    "a hash of lines": json.dumps({"sha256": {**HASHES, TEST: "0" * 64 + "\n"}}).encode(),
    "no hash": json.dumps({"sha256": {**HASHES, TEST: None}}).encode(),
}


@pytest.mark.parametrize("content", MANIFESTS.values(), ids=MANIFESTS)
def test_manifest_that_is_not_one_brings_nothing(home, tmp_path, node, content):
    push(home, tmp_path / "storage")
    Storage(str(tmp_path / "storage")).write("MNIST/manifest.json", content)
    before = files(tmp_path)
    assert "MNIST/manifest.json: " in refused(pull(tmp_path / "storage", node))
    assert files(tmp_path) == before


def test_manifest_is_written_last_and_is_true(home, tmp_path, monkeypatch):
    written = {}
    monkeypatch.setattr(Storage, "write", lambda self, name, content: written.update({name: content}))
    push(home, tmp_path / "storage")
    *names, last = written
    assert last == "MNIST/manifest.json"
    hashes = {name.rpartition("/")[2]: hashlib.sha256(written[name]).hexdigest() for name in names}
    assert json.loads(written[last]) == {"sha256": hashes}


def test_damaged_or_missing_data_set_is_not_pushed(home, tmp_path):
    path = home / "MNIST" / "raw" / TRAINING
    path.write_bytes(path.read_bytes()[:-1])
    done = call("push", "mnist", "--to", tmp_path / "storage", "--data-dir", home)
    assert str(path) in refused(done)
    assert "not found" in refused(call("push", "mnist", "--to", tmp_path / "storage", "--data-dir", tmp_path / "none"))
    assert not (tmp_path / "storage").exists()


@pytest.mark.parametrize("name", ["digits", "cifar", "../MNIST"])
def test_unknown_data_set_is_a_usage_error_that_lists_the_known(tmp_path, name):
    done = call("pull", name, "--from", tmp_path, "--data-dir", tmp_path)
    assert done.exit_code == 2
    assert "mnist" in done.stderr and "fashion_mnist" in done.stderr


def test_doctor_says_which_of_a_studys_data_sets_are_in_the_storage(home, url, monkeypatch, small_study, write_study):
    monkeypatch.setattr(doctor, "examine_machine", list)
    for name in ("try_worker", "try_scratch_folder", "try_figure"):
        monkeypatch.setattr(rehearsal, name, list)
    path = write_study({**small_study, "datasets": ["digits", "mnist", "fashion_mnist"]})

    def examined() -> dict[str, bool]:
        done = CliRunner().invoke(commands, ["doctor", "--study", str(path), "--data", url, "--json"])
        return {row["subject"]: row["fault"] for row in json.loads(done.stdout) if "mnist" in row["subject"]}

    assert examined() == {"mnist": True, "fashion_mnist": True}
    push_dataset("mnist", Storage(url), str(home))
    push_dataset("fashion_mnist", Storage(url), str(home))
    assert examined() == {"mnist": False, "fashion_mnist": False}
    Storage(url).remove(f"FashionMNIST/raw/{TEST}")
    assert examined() == {"mnist": False, "fashion_mnist": True}

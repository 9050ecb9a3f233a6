"""A checkpoint gives back the model, loads without this project, and is refused when damaged."""

import dataclasses
import hashlib
import json
import struct

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from aesweep.study.configuration import Configuration
from aesweep.training.checkpoints.model_file import CheckpointError, load_autoencoder, read_checkpoint, write_checkpoint
from aesweep.training.pack import Pack
from tests.training.plain_training import some_images

CONFIGURATION = Configuration(hidden_layers=(20, 10), latent_dim=4, batch_size=32, l1=1e-5)
SHAPE = (1, 6, 6)
INPUTS = torch.rand(8, 36, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def pack():
    pack = Pack(some_images(100, 36))
    pack.add("a", CONFIGURATION, seed=5, epochs=2)
    pack.train_epoch()
    pack.train_epoch()
    return pack


def write(pack, path):
    return write_checkpoint(path, pack.export("a"), CONFIGURATION, dataset="digits", image_shape=SHAPE, seed=5)


def test_a_model_comes_back_with_its_bits_and_its_metadata(pack, tmp_path):
    path = tmp_path / "new" / "folder" / "a.safetensors"
    sha256 = write(pack, path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    model, metadata = read_checkpoint(path, sha256)
    assert not model.training
    assert metadata.configuration == CONFIGURATION
    assert (metadata.dataset, metadata.image_shape, metadata.seed, metadata.epochs) == ("digits", SHAPE, 5, 2)
    with torch.inference_mode():
        torch.testing.assert_close(model(INPUTS), pack.reconstruct("a", INPUTS), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(load_autoencoder(path)(INPUTS), model(INPUTS), rtol=0, atol=0)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.safetensors"]


def test_a_plain_sequential_loads_it_without_this_project(pack, tmp_path):
    write(pack, tmp_path / "a.safetensors")
    model = nn.Sequential(
        *(nn.Linear(36, 20), nn.GELU(), nn.Linear(20, 10), nn.GELU(), nn.Linear(10, 4)),
        *(nn.Linear(4, 10), nn.GELU(), nn.Linear(10, 20), nn.GELU(), nn.Linear(20, 36), nn.Sigmoid()),
    )
    model.load_state_dict(safetensors.torch.load_file(tmp_path / "a.safetensors"))
    with torch.inference_mode():
        torch.testing.assert_close(model(INPUTS), pack.reconstruct("a", INPUTS), rtol=1e-5, atol=1e-6)


def test_the_same_model_gives_the_same_bytes(pack, tmp_path):
    assert write(pack, tmp_path / "a") == write(pack, tmp_path / "b")


def test_an_older_checkpoint_is_replaced_whole(pack, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"old")
    write(pack, path)
    read_checkpoint(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(pack, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"old")

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        write(pack, path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_file_of_another_hash_is_refused(pack, tmp_path):
    path = tmp_path / "a.safetensors"
    write(pack, path)
    with pytest.raises(CheckpointError, match=r"a.safetensors: expected the checkpoint with SHA-256 0000"):
        read_checkpoint(path, "0" * 64)


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.999])
def test_a_truncated_file_is_refused(pack, tmp_path, share):
    path = tmp_path / "a.safetensors"
    write(pack, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match=r"a.safetensors: .*restore the file, or retrain the model"):
        read_checkpoint(path)


def test_a_flipped_bit_is_refused_wherever_it_is(pack, tmp_path):
    path = tmp_path / "a.safetensors"
    write(pack, path)
    content = path.read_bytes()
    header = 8 + struct.unpack("<Q", content[:8])[0]
    generator = np.random.default_rng(0)
    positions = [*range(8), *generator.integers(8, header, 60), *generator.integers(header, len(content), 30)]
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(generator.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"a.safetensors: "):
            read_checkpoint(path)


def test_a_missing_file_and_a_folder_are_refused_with_the_reason(tmp_path):
    with pytest.raises(CheckpointError, match="none: cannot read the checkpoint: No such file"):
        read_checkpoint(tmp_path / "none")
    with pytest.raises(CheckpointError, match="cannot read the checkpoint: Is a directory"):
        read_checkpoint(tmp_path)


def test_another_safetensors_file_and_a_pickle_are_refused(tmp_path):
    path = tmp_path / "x"
    safetensors.torch.save_file({"0.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(CheckpointError, match="expected a checkpoint of aesweep"):
        read_checkpoint(path)
    torch.save({"0.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(CheckpointError, match="expected a whole safetensors file"):
        read_checkpoint(path)


def rewrite(path, change) -> None:
    """Changes a checkpoint and makes its own hash agree, as only another program could."""
    from aesweep.training.checkpoints.model_file import FORMAT, content_digest

    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    description = json.loads(json.loads(content[8 : 8 + size])["__metadata__"][FORMAT])
    tensors = safetensors.torch.load(content)
    del description["sha256"]
    change(description, tensors)
    description["sha256"] = content_digest(description, tensors)
    path.write_bytes(safetensors.torch.save(tensors, metadata={FORMAT: json.dumps(description)}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, t: d.update(version=2), "expected checkpoint format 1, got 2"),
        (
            lambda d, t: d["configuration"].update(latent_dim=5),
            r"tensor 4.bias: .* asks for \(5,\), the file has \(4,\)",
        ),
        (lambda d, t: d.update(image_shape=[1, 6, 7]), r"tensor 0.weight: .*\(20, 42\), the file has \(20, 36\)"),
        (lambda d, t: t.pop("2.bias"), "tensor 2.bias: .* the file has none"),
        (lambda d, t: t.update(extra=torch.zeros(1)), "tensor extra: .* asks for none"),
        (lambda d, t: d.pop("dataset"), "metadata is damaged"),
        (lambda d, t: d["configuration"].update(activation="geluu"), "metadata is damaged"),
        (lambda d, t: d["configuration"].update(depth=1), "metadata is damaged"),
        (lambda d, t: d.update(image_shape=["a"]), "metadata is damaged"),
    ],
)
def test_content_that_does_not_agree_with_itself_is_refused(pack, tmp_path, change, message):
    path = tmp_path / "a.safetensors"
    write(pack, path)
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)


def test_a_model_in_float64_stays_in_float64(tmp_path):
    pack = Pack(some_images(50, 36), dtype=torch.float64)
    pack.add("a", dataclasses.replace(CONFIGURATION, output="linear"), seed=0, epochs=1)
    linear = dataclasses.replace(CONFIGURATION, output="linear")
    write_checkpoint(tmp_path / "a", pack.export("a"), linear, dataset="digits", image_shape=SHAPE, seed=0)
    model = load_autoencoder(tmp_path / "a")
    with torch.inference_mode():
        torch.testing.assert_close(model(INPUTS.double()), pack.reconstruct("a", INPUTS.double()), rtol=1e-12, atol=0)

"""Checkpoints of trained models: written atomically, verified when read, and loadable without this project.

The file is safetensors. Its tensors are named as the state of `nn.Sequential(Linear, GELU, ..., Linear, Sigmoid)`:
"0.weight" [out, in], "0.bias" [out], "2.weight", ... Its metadata describes the model and what it was trained on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from aesweep.models.family import Architecture
from aesweep.models.modules import shared_names
from aesweep.process.errors import AesweepError
from aesweep.storage.atomic_file import write_whole
from aesweep.study.configuration import Configuration
from aesweep.training.engine.member import MemberState, architecture_of

FORMAT = "aesweep-autoencoder"
VERSION = 1
_REMEDY = "restore the file, or retrain the model"


class CheckpointError(AesweepError):
    """A checkpoint that is missing, damaged, or not what it should be."""

    exit_code = 65


@dataclasses.dataclass(frozen=True)
class CheckpointMetadata:
    """Metadata of a checkpoint.

    Attributes:
        configuration: the configuration that the model was trained with.
        dataset: name of the data set that the model was trained on.
        image_shape: shape of an image, (C, H, W).
        seed: seed of the training.
        epochs: how many epochs the model was trained.
    """

    configuration: Configuration
    dataset: str
    image_shape: tuple[int, ...]
    seed: int
    epochs: int


def write_checkpoint(
    path: Path | str,
    state: MemberState,
    configuration: Configuration,
    *,
    dataset: str,
    image_shape: Sequence[int],
    seed: int,
) -> str:
    """Writes a member's model as a checkpoint; the arguments are those of `checkpoint_content`.

    The file appears under its name only when it is complete and on the disk. Missing parent folders are created.

    Returns:
        The file's SHA-256, hexadecimal.
    """
    content = checkpoint_content(state, configuration, dataset=dataset, image_shape=image_shape, seed=seed)
    write_whole(Path(path), content)
    return hashlib.sha256(content).hexdigest()


def checkpoint_content(
    state: MemberState,
    configuration: Configuration,
    *,
    dataset: str,
    image_shape: Sequence[int],
    seed: int,
) -> bytes:
    """Returns a member's model as the bytes of a checkpoint, without Adam's moments.

    Args:
        state: the member's state.
        configuration: the configuration that the member was trained with.
        dataset: name of the data set that the member was trained on.
        image_shape: shape of an image, (C, H, W).
        seed: seed of the training.
    """
    module = architecture_of(configuration, image_shape).as_module(state.parameters)
    description = {
        "format": FORMAT,
        "version": VERSION,
        "configuration": configuration.as_dict(),
        "dataset": dataset,
        "image_shape": list(image_shape),
        "seed": seed,
        "epochs": state.epoch,
    }
    # Modules without buffers; a parameter that several of them share is written once.
    tensors = {name: parameter.detach() for name, parameter in module.named_parameters()}
    description["sha256"] = content_digest(description, tensors)
    # One entry with sorted keys: the library keeps no order among entries, and the same model must give the same bytes.
    metadata = {FORMAT: json.dumps(description, sort_keys=True)}
    return safetensors.torch.save(tensors, metadata=metadata)


def read_checkpoint(path: Path | str, sha256: str | None = None) -> tuple[nn.Sequential, CheckpointMetadata]:
    """Reads a checkpoint and verifies it.

    Args:
        path: the checkpoint's file.
        sha256: the file's expected hash, hexadecimal, from the journal; None accepts any undamaged checkpoint.

    Returns:
        The model, in evaluation mode, which maps images [N, D] to images [N, D]; and its metadata.

    Raises:
        CheckpointError: the file is missing or damaged, has another hash, or is no checkpoint of this project.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read the checkpoint: {error.strerror}; {_REMEDY}") from error
    if sha256 is not None and (got := hashlib.sha256(content).hexdigest()) != sha256:
        raise CheckpointError(
            f"{path}: expected the checkpoint with SHA-256 {sha256}, got {got}: "
            f"the file was changed or cut short; {_REMEDY}"
        )
    try:
        tensors = safetensors.torch.load(content)
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(FORMAT)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: expected a whole safetensors file, got a damaged one ({error}); {_REMEDY}"
        ) from error
    metadata, architecture = _parse(path, text, tensors)
    # On "meta" no memory is allocated for what the metadata claim: only the tensors that the file does hold are used.
    with torch.device("meta"):
        module = architecture.as_module()
    _check_shapes(path, module, tensors)
    parameters = {name: nn.Parameter(tensor) for name, tensor in tensors.items()}
    module.load_state_dict({name: parameters[shared] for name, shared in shared_names(module).items()}, assign=True)
    return module.eval(), metadata


@dataclasses.dataclass(frozen=True)
class CodeModel:
    """A model in its two halves.

    Attributes:
        architecture: the model's architecture.
        parameters: its parameters, [P].
    """

    architecture: Architecture
    parameters: Tensor

    def encode(self, images: Tensor) -> Tensor:
        """Returns the codes [N, Z] of images [N, D]."""
        return self.architecture.encode(self.parameters, images)

    def decode(self, codes: Tensor) -> Tensor:
        """Returns the images [N, D] of codes [N, Z]."""
        return self.architecture.decode(self.parameters, codes)


def read_model(path: Path | str) -> CodeModel:
    """Returns the model of a checkpoint in its two halves; raises CheckpointError as `read_checkpoint` does."""
    module, metadata = read_checkpoint(path)
    architecture = architecture_of(metadata.configuration, metadata.image_shape)
    return CodeModel(architecture, architecture.as_parameters(module))


def load_autoencoder(path: Path | str) -> nn.Sequential:
    """Returns the model of a checkpoint, which maps images [N, D], float in [0, 1], to images [N, D].

    Raises:
        CheckpointError: see `read_checkpoint`.
    """
    return read_checkpoint(path)[0]


def _parse(path: Path, text: str | None, tensors: dict[str, Tensor]) -> tuple[CheckpointMetadata, Architecture]:
    if text is None:
        raise CheckpointError(f"{path}: expected a checkpoint of aesweep, got another safetensors file")
    try:
        values = json.loads(text)
        if values["version"] != VERSION:
            raise CheckpointError(
                f"{path}: expected checkpoint format {VERSION}, got {values['version']}; read it with that aesweep"
            )
        if values.pop("sha256") != content_digest(values, tensors):
            raise CheckpointError(f"{path}: the checkpoint's content is not what was written; {_REMEDY}")
        metadata = CheckpointMetadata(
            configuration=Configuration.from_dict(values["configuration"]),
            dataset=values["dataset"],
            image_shape=tuple(values["image_shape"]),
            seed=values["seed"],
            epochs=values["epochs"],
        )
        return metadata, architecture_of(metadata.configuration, metadata.image_shape)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: the checkpoint's metadata is damaged ({error!r}); {_REMEDY}") from error


def content_digest(description: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """Returns a SHA-256 of a file's content, with which damage is found without the journal.

    Args:
        description: metadata, as values that JSON can hold.
        tensors: tensors by name, on the CPU.
    """
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _check_shapes(path: Path, module: nn.Sequential, tensors: dict[str, Tensor]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in module.named_parameters()}
    got = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in sorted({*expected, *got}):
        if expected.get(name) != got.get(name):
            raise CheckpointError(
                f"{path}: tensor {name}: the configuration asks for {expected.get(name, 'none')}, "
                f"the file has {got.get(name, 'none')}; {_REMEDY}"
            )

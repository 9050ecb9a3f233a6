"""State files: the states of a trial's members after an epoch, from which a killed training resumes.

A state file is safetensors, written atomically. When it is read, a hash of its content is verified, and its metadata
must match the trial. The newest two of a trial are kept, so that one damaged file costs epochs and not the training.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import safetensors.torch
from safetensors import SafetensorError

from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.artifacts import Files, FolderFiles
from aesweep.storage.run_folder import state_name, states_among
from aesweep.training.checkpoints.model_file import content_digest
from aesweep.training.checkpoints.preemption import leaving_note
from aesweep.training.engine.member import MemberState

FORMAT = "aesweep-members"
VERSION = 1
NUM_KEPT = 2
FOLDER = FolderFiles()
TENSORS = ("parameters", "moment1", "moment2")
# The fields of a trial that decide what it trains, beside its configuration and its seeds. One that does not is left
# out, so that the states of versions that had no such field stay readable.
DECISIVE = (
    *("trial", "purpose", "dataset", "epochs", "split_seed", "validation_fraction"),
    *("training_images", "validation_images", "precision"),
)


@dataclasses.dataclass(frozen=True)
class Continuation:
    """The point from which a trial resumes.

    Attributes:
        epoch: how many epochs have been trained; 0 where the trial begins at the start.
        states: the members' states by seed; empty where the trial begins at the start.
        rejected: for each newer file, why it was rejected.
    """

    epoch: int
    states: dict[int, MemberState]
    rejected: list[str]


def write_members(
    spec: TrialSpec, images_sha256: str, epoch: int, states: dict[int, MemberState], files: Files = FOLDER
) -> None:
    """Writes the states of all members of a trial, and removes the trial's other state files but the previous one.

    Args:
        spec: the trial; `spec.states` names the folder.
        images_sha256: SHA-256 of the data set.
        epoch: the epoch after which the states were copied.
        states: the members' states by seed.
        files: storage for the state files.
    """
    tensors = {f"{seed}.{name}": getattr(state, name) for seed, state in states.items() for name in TENSORS}
    description = _description(spec, images_sha256, epoch)
    description["steps"] = {str(seed): state.step for seed, state in states.items()}
    description["sha256"] = content_digest(description, tensors)
    content = safetensors.torch.save(tensors, metadata={FORMAT: json.dumps(description, sort_keys=True)})
    files.write(f"{spec.states}/{state_name(spec.trial, epoch)}", content)
    # A file of a later epoch was rejected when this training resumed, so it is removed as well.
    found = states_among(files.names(spec.states), spec.trial)
    kept = [state for state in found if state[0] <= epoch][:NUM_KEPT]
    for state in found:
        if state not in kept:
            files.remove(f"{spec.states}/{state[1]}")


def is_due(spec: TrialSpec, epoch: int, seconds: float) -> bool:
    """Returns whether a state is to be kept after an epoch; never after the last one.

    Args:
        spec: the trial, with its rungs and the interval between states.
        epoch: the epoch that has just been trained.
        seconds: time since the last state was kept.
    """
    if not spec.states or epoch >= spec.epochs:
        return False
    return epoch in spec.rungs or seconds >= spec.state_interval_s or leaving_note().exists()


def newest_members(spec: TrialSpec, images_sha256: str, files: Files = FOLDER) -> Continuation:
    """Returns the newest undamaged states of a trial that are no newer than its recorded rows.

    Args:
        spec: the trial; `spec.states` names the folder, `spec.recorded` the last recorded epoch.
        images_sha256: SHA-256 of the data set.
        files: storage of the state files.
    """
    rejected = []
    for epoch, name in states_among(files.names(spec.states), spec.trial) if spec.states else ():
        if epoch > spec.recorded:
            continue
        try:
            content = files.read(f"{spec.states}/{name}")
            return Continuation(epoch, _parse(content, spec, images_sha256, epoch), rejected)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            rejected.append(f"{name} was passed over: {reason}")
    return Continuation(0, {}, rejected)


def _parse(content: bytes, spec: TrialSpec, images_sha256: str, epoch: int) -> dict[int, MemberState]:
    tensors = safetensors.torch.load(content)
    # The library cannot read metadata from bytes; as it has loaded the tensors, the header is known to be valid.
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    description = json.loads(header.get("__metadata__", {}).get(FORMAT, "null"))
    if not isinstance(description, dict):
        raise ValueError("it is no state of aesweep's members")
    if description.pop("sha256", None) != content_digest(description, tensors):
        raise ValueError("its content is not what was written")
    steps = description.pop("steps")
    if description != (expected := _description(spec, images_sha256, epoch)):
        differing = sorted(name for name in {*description, *expected} if description.get(name) != expected.get(name))
        raise ValueError(f"it is the state of another training ({', '.join(differing)} differ)")
    return {
        seed: MemberState(*(tensors[f"{seed}.{name}"] for name in TENSORS), step=steps[str(seed)], epoch=epoch)
        for seed in spec.seeds
    }


def _description(spec: TrialSpec, images_sha256: str, epoch: int) -> dict[str, Any]:
    """Returns what must agree for a training to resume from a file: everything that its numbers depend on."""
    configuration = json.dumps(spec.configuration.as_dict(), sort_keys=True)
    return {
        "format": FORMAT,
        "version": VERSION,
        **{name: getattr(spec, name) for name in DECISIVE},
        "configuration": hashlib.sha256(configuration.encode()).hexdigest(),
        "seeds": list(spec.seeds),
        "images_sha256": images_sha256,
        "epoch": epoch,
    }

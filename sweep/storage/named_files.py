"""Finds the files that a journal names, and which of them are missing or damaged.

If a retrained winner's checkpoint is lost, it is trained again, and lost pictures are made again from checkpoints. The
model of a search's winner is not made again: its trial would have to be trained from its beginning, for a file that
neither the report nor a later stage reads. The model is recorded as lost once and is not checked from then on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState


@dataclasses.dataclass(frozen=True)
class LostFiles:
    """The files that are missing or not as they were written.

    Attributes:
        checkpoints: maps each retraining whose checkpoint is lost to the reason.
        pictures: the lost pictures, as (data set, stage, purpose).
        models: maps each trial that won a cell and whose model is lost to the reason.
    """

    checkpoints: dict[str, str]
    pictures: set[tuple[str, str, str]]
    models: dict[str, str]

    def __bool__(self) -> bool:
        return bool(self.checkpoints or self.pictures or self.models)


def lost_files(folder: RunFolder, state: RunState) -> LostFiles:
    """Returns the lost files of a run, without those that its journal records as lost."""
    return LostFiles(
        folder.lost(checkpoints(state)), set(folder.lost(pictures(state))), folder.lost(winners_models(state))
    )


def named_files(state: RunState) -> Iterator[tuple[str, str]]:
    """Yields all files that the run should hold, as (name, SHA-256)."""
    for named in (checkpoints(state), pictures(state), winners_models(state)):
        for file in named.values():
            yield file["file"], file["sha256"]


def checkpoints(state: RunState) -> dict[str, Mapping[str, Any]]:
    """Returns the retrained winners' checkpoints: retraining to `file`, `sha256` and `num_bytes`."""
    return {name: trial.result.checkpoint for name, trial in state.trials.items() if trial.result and not trial.is_lost}


def pictures(state: RunState) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    """Returns the pictures: `Pictures.key` to `file` and `sha256`."""
    return {key: {"file": event.file, "sha256": event.sha256} for key, event in state.pictures.items()}


def winners_models(state: RunState) -> dict[str, Mapping[str, Any]]:
    """Returns the models of the search's winners: trial to `file`, `sha256` and `num_bytes`."""
    winners = [event.trial for stage in state.stages.values() for event in stage.cell_winners.values()]
    return {name: state.trials[name].checkpoint for name in winners if name and state.trials[name].checkpoint}

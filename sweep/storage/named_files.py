"""The files that a journal names, and which of them are gone or damaged.

A retrained winner's checkpoint is trained again, and pictures are taken again from checkpoints. The model of a search's
winner is not: its trial would have to be trained from its beginning, for a file that neither the report nor a later
stage reads. It is recorded as lost, once, and nobody looks for it from then on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState


@dataclasses.dataclass(frozen=True)
class LostFiles:
    """What is not there as it was written.

    Attributes:
        checkpoints: of retrainings, with the reason.
        pictures: as (data set, stage, purpose).
        models: of trials that won a cell, with the reason.
    """

    checkpoints: dict[str, str]
    pictures: set[tuple[str, str, str]]
    models: dict[str, str]

    def __bool__(self) -> bool:
        return bool(self.checkpoints or self.pictures or self.models)


def lost_files(folder: RunFolder, state: RunState) -> LostFiles:
    """What a run has lost that its journal does not say is lost."""
    return LostFiles(
        folder.lost(checkpoints(state)), set(folder.lost(pictures(state))), folder.lost(winners_models(state))
    )


def named_files(state: RunState) -> Iterator[tuple[str, str]]:
    """All files that should be there, as (name, SHA-256)."""
    for named in (checkpoints(state), pictures(state), winners_models(state)):
        for file in named.values():
            yield file["file"], file["sha256"]


def checkpoints(state: RunState) -> dict[str, Mapping[str, Any]]:
    """The retrained winners' checkpoints: retraining to `file`, `sha256` and `num_bytes`."""
    return {name: trial.result.checkpoint for name, trial in state.trials.items() if trial.result and not trial.is_lost}


def pictures(state: RunState) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    """The pictures: `Pictures.key` to `file` and `sha256`."""
    return {key: {"file": event.file, "sha256": event.sha256} for key, event in state.pictures.items()}


def winners_models(state: RunState) -> dict[str, Mapping[str, Any]]:
    """The models that the search's winners left: trial to `file`, `sha256` and `num_bytes`."""
    winners = [event.trial for stage in state.stages.values() for event in stage.cell_winners.values()]
    return {name: state.trials[name].checkpoint for name in winners if name and state.trials[name].checkpoint}

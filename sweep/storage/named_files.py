"""The files that a journal names, and which of them are gone or damaged.

A retrained winner's checkpoint is trained again, and pictures are taken again from checkpoints. The model of a search's
winner is not: its trial would have to be trained from its beginning, for a file that neither the report nor a later
stage reads. It is recorded as lost, once, and nobody looks for it from then on.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from aesweep.storage.run_folder import RunFolder

Event = dict[str, Any]


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


def lost_files(folder: RunFolder, events: list[Event]) -> LostFiles:
    """What a run has lost that its journal does not say is lost."""
    return LostFiles(
        folder.lost(checkpoints(events)), set(folder.lost(pictures(events))), folder.lost(winners_models(events))
    )


def named_files(events: list[Event]) -> Iterator[tuple[str, str]]:
    """All files that should be there, as (name, SHA-256)."""
    for named in (checkpoints(events), pictures(events), winners_models(events)):
        for found in named.values():
            yield found["file"], found["sha256"]


def checkpoints(events: list[Event]) -> dict[str, Event]:
    """The retrained winners' checkpoints: retraining to `file`, `sha256` and `num_bytes`."""
    found = {}
    for event in events:
        if event["kind"] == "retrained":
            found[event["trial"]] = event["checkpoint"]
        elif event["kind"] == "checkpoint_lost":
            found.pop(event["trial"], None)
    return found


def pictures(events: list[Event]) -> dict[tuple[str, str, str], Event]:
    """The pictures, as (data set, stage, purpose) to their last event."""
    return {picture_key(event): event for event in events if event["kind"] == "pictures"}


def picture_key(event: Event) -> tuple[str, str, str]:
    """What tells a `pictures` event from another: data set, stage and purpose."""
    return event["dataset"], event["stage"], event["purpose"]


def winners_models(events: list[Event]) -> dict[str, Event]:
    """The models that the search's winners left: trial to `file`, `sha256` and `num_bytes`."""
    found: dict[str, Event] = {}
    winners: dict[tuple[str, ...], str | None] = {}
    for event in events:
        if event["kind"] == "row" and event.get("checkpoint"):
            found[event["trial"]] = event["checkpoint"]
        elif event["kind"] == "cell_winner":  # after an extension there may be another
            winners[event["stage"], event["dataset"], json.dumps(event["cell"], sort_keys=True)] = event["trial"]
        elif event["kind"] == "model_lost":
            found.pop(event["trial"], None)
    return {trial: found[trial] for trial in winners.values() if trial in found}

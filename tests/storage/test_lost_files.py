"""What a run has lost is made again, or said to be lost for good; with the toy of `tests/search/toy_cluster.py`."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from aesweep.report.status import run_status, status_text
from aesweep.run.callbacks.progress import Progress
from aesweep.storage.journal import read_journal
from aesweep.storage.named_files import lost_files, named_files
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from tests.search.toy_cluster import ToyCluster, finished, new_run, record, toy, toy_images, toy_study  # noqa: F401 - fixtures


@pytest.fixture
def folder(study, images, tmp_path):
    """A finished run."""
    folder = RunFolder(tmp_path / "run")
    finished(study, folder, images)
    ToyCluster.trained.clear()
    return folder


def resumed(study, folder, images) -> list[dict]:
    """What a resumed run records."""
    before = len(read_journal(folder.journal))
    assert new_run(study, folder, images).resume(["aesweep", "resume"]).status == "completed"
    return read_journal(folder.journal)[before:]


def test_nothing_is_lost_of_a_finished_run(study, images, folder):
    events = read_journal(folder.journal)
    assert not lost_files(folder, RunState(events))
    assert {name for name, _ in named_files(RunState(events))} >= {
        f"pictures/{path.name}" for path in folder.pictures.iterdir()
    }
    assert resumed(study, folder, images) == []


@pytest.mark.parametrize("how", ["removed", "damaged", "one of two"])
def test_lost_pictures_are_taken_again_and_nothing_is_trained(study, images, folder, how):
    pictures = sorted(folder.pictures.iterdir())
    before = {path: path.read_bytes() for path in pictures}
    lost = pictures[:1] if how == "one of two" else pictures
    for path in lost:
        path.write_bytes(b"else") if how == "damaged" else path.unlink()
    earlier = read_journal(folder.journal)
    added = resumed(study, folder, images)
    assert {path: path.read_bytes() for path in pictures} == before
    assert [event["kind"] for event in added] == ["resumed", *["pictures"] * len(lost), "run_ended"]
    again = record(added)
    assert all(event in record(earlier) for event in again)  # to the byte what it was
    assert ToyCluster.trained == []
    assert resumed(study, folder, images) == []


def test_lost_model_of_a_search_winner_is_said_to_be_lost_once(study, images, folder):
    events = read_journal(folder.journal)
    winner = next(event["trial"] for event in events if event["kind"] == "cell_winner")
    (folder.checkpoints / f"{winner}.safetensors").unlink()
    added = resumed(study, folder, images)
    assert [event["kind"] for event in added] == ["resumed", "model_lost", "run_ended"]
    assert added[1]["trial"] == winner and f"{winner}.safetensors" in added[1]["reason"]
    assert ToyCluster.trained == []
    assert resumed(study, folder, images) == []
    values = run_status(RunState(read_journal(folder.journal)))
    assert values["models_lost"] == [winner]
    assert winner in status_text(values).splitlines()[-1]


def test_everything_lost_at_once_comes_back_as_far_as_it_can(study, images, folder):
    for path in [*folder.checkpoints.iterdir(), *folder.pictures.iterdir()]:
        path.unlink()
    file = io.StringIO()
    run = new_run(study, folder, images)
    run._record._callbacks.append(Progress(Console(file=file, width=200)))
    assert run.resume(["aesweep", "resume"]).status == "completed"
    events = read_journal(folder.journal)
    assert not lost_files(folder, RunState(events))
    retrained = {event["trial"] for event in events if event["kind"] == "retrained"}
    assert {trial for trial, _ in ToyCluster.trained} == retrained
    assert {path.stem for path in folder.checkpoints.iterdir()} == retrained
    assert len(list(folder.pictures.iterdir())) == 2
    counts = [line for line in file.getvalue().splitlines() if " trials ended" in line]
    for line in counts:  # never 17 of 16
        ended, total = line.partition(": ")[2].split(" trials ended")[0].split(" of ")
        assert int(ended) <= int(total) == len(retrained), line


def test_status_shows_stages_that_are_still_to_come(study, images, folder):
    events = read_journal(folder.journal)
    values = run_status(RunState(events[:4]))
    assert [(stage["stage"], stage["begun"], stage["ended"]) for stage in values["stages"]] == [
        ("architecture", True, False),
        ("regularization", False, False),
        ("retraining", False, False),
    ]
    assert status_text(values).count("to come") == 2
    assert json.dumps(values)
    assert [stage["stage"] for stage in run_status(RunState(events))["stages"] if stage["ended"]] == [
        *("architecture", "regularization", "retraining")
    ]

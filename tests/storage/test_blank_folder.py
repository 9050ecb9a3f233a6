"""What is refused leaves its name free; where nothing was recorded there is no run; nobody's files are removed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from aesweep.cli.commands import commands
from aesweep.process.errors import AesweepError, RunFolderError
from aesweep.storage.journal import read_journal
from aesweep.storage.object_store import Storage
from aesweep.storage.replica import Replica
from aesweep.storage.run_folder import RunFolder
from tests.search.toy_cluster import ToyCluster, interruption, toy  # noqa: F401 - fixtures
from tests.study.test_image_places import call, no_report  # noqa: F401 - fixture


@pytest.fixture
def study_path(write_study, small_study, tmp_path, monkeypatch) -> Path:
    del small_study["stages"]["regularization"]
    small_study["stages"]["architecture"]["samples"] = 1
    monkeypatch.chdir(tmp_path)
    return write_study(small_study)


def refuse(*_, **__):
    raise AesweepError("there is no room")


def interrupt(*_, **__):
    interruption.signal_number = signal.SIGTERM


@pytest.mark.parametrize("storage", ["ftpx://host/runs", "file/in/the/way"])
def test_storage_that_cannot_keep_a_run_is_refused_before_there_is_one(study_path, storage):
    Path("file").write_text("mine")
    call("run", study_path, "--storage", storage, "--quiet", code=73)
    assert not Path("runs").exists()
    call("run", study_path, "--quiet")


def test_storage_with_another_run_or_with_what_is_no_run_is_refused_before_there_is_one(study_path, tmp_path):
    Storage(f"{tmp_path}/kept/small").write("journal/000000000000000.jsonl", b'{"seq": 0}\n')
    assert "holds more of this run" in call("run", study_path, "--storage", tmp_path / "kept", "--quiet", code=73)
    mine = tmp_path / "home" / "small" / "letter.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("dear")
    assert "letter.txt" in call("run", study_path, "--storage", tmp_path / "home", "--quiet", code=73)
    assert mine.read_text() == "dear"
    assert not Path("runs").exists()


@pytest.mark.parametrize("place", ["__init__", "check_room"])
def test_cluster_that_is_not_there_or_has_no_room_leaves_no_run(study_path, monkeypatch, place):
    with monkeypatch.context() as patched:
        patched.setattr(ToyCluster, place, refuse)
        call("run", study_path, "--quiet", code=1)
    assert list(Path("runs").iterdir()) == []
    call("run", study_path, "--quiet")


def test_refusal_records_nothing_in_a_run_that_is_there(study_path, monkeypatch):
    call("run", study_path, "--quiet")
    before = Path("runs/small/journal.jsonl").read_bytes()
    monkeypatch.setattr(ToyCluster, "check_room", refuse)
    for command in (["retrain", "--epochs", "5"], ["extend", "--samples", "1"]):
        call(*command, "runs/small", "--quiet", code=1)
    assert Path("runs/small/journal.jsonl").read_bytes() == before


def test_signal_before_the_first_event_leaves_no_run(study_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(ToyCluster, "check_room", interrupt)
        said = call("run", study_path, "--quiet", code=128 + signal.SIGTERM)
    assert "nothing is left of this run" in said and len(said.splitlines()) == 1
    assert list(Path("runs").iterdir()) == []
    monkeypatch.setattr(interruption, "signal_number", None)
    call("run", study_path, "--quiet")


def left_behind(root: Path, kind: str) -> None:
    """What a kill before the first event leaves."""
    root.mkdir(parents=True)
    if kind == "folder alone":
        return
    (root / "checkpoints").mkdir()
    (root / "pictures").mkdir()
    if kind == "parts":
        return
    (root / ".lock").touch()
    (root / ".lock.holder").write_text("process 1 on nowhere")
    (root / "journal.jsonl").touch()
    (root / ".scratch").write_text("/tmp/aesweep-nobody")
    if kind == "study":
        (root / "study.yaml").write_text("name: other\n")
        (root / ".study.yaml.abc").write_text("name: ot")
    if kind == "torn line":
        (root / "journal.jsonl").write_text('{"seq": 0, "kind": "run_st')


@pytest.mark.parametrize("kind", ["folder alone", "parts", "empty journal", "study", "torn line"])
def test_folder_in_which_nothing_was_recorded_is_taken_over(study_path, kind):
    left_behind(Path("runs/small"), kind)
    said = call("resume", "runs/small", code=65 if Path("runs/small/journal.jsonl").exists() else 73)
    assert "aesweep run" in said
    call("run", study_path, "--quiet")
    events = read_journal(Path("runs/small/journal.jsonl"))
    assert (events[0]["kind"], events[0]["seq"], events[-1]["status"]) == ("run_started", 0, "completed")


@pytest.mark.parametrize("extra", ["notes.txt", "checkpoints/model.safetensors", "study.yaml", "pictures -> ..", "run"])
def test_folder_that_holds_anything_else_is_left_alone(study_path, extra):
    root = Path("runs/small")
    left_behind(root, "parts" if extra == "study.yaml" else "empty journal")
    if extra.startswith("pictures"):
        (root / "pictures").rmdir()
        (root / "pictures").symlink_to("..")
    elif extra == "run":
        (root / "journal.jsonl").write_text('{"seq": 0, "kind": "run_started"}\n')
    else:
        (root / extra).write_text("mine")
    before = sorted(os.walk(root))
    assert "exists already" in call("run", study_path, "--quiet", code=73)
    assert sorted(os.walk(root)) == before


def test_folder_that_another_process_has_just_begun_is_not_taken(study_path):
    folder = RunFolder.create(Path("runs"), "small")
    with folder.one_writer():
        assert "is being written by process" in call("run", study_path, "--quiet", code=73)
        assert folder.root.is_dir() and folder.holder.exists()


def test_run_that_began_while_this_one_read_its_images_is_not_written_into(study_path, monkeypatch):
    from aesweep.study import inputs

    load = inputs.load_images

    def slowly(*arguments):
        found = load(*arguments)
        with monkeypatch.context() as patched:
            patched.setattr(inputs, "load_images", load)
            assert CliRunner().invoke(commands, ["run", str(study_path), "--quiet"]).exit_code == 0
        return found

    monkeypatch.setattr(inputs, "load_images", slowly)
    assert "exists already" in call("run", study_path, "--quiet", code=73)
    assert read_journal(Path("runs/small/journal.jsonl"))[-1]["status"] == "completed"


def test_storage_with_the_parts_of_a_run_that_never_began_is_taken_over(tmp_path):
    folder = RunFolder.create(tmp_path, "run")
    storage = Storage(str(tmp_path / "kept" / "run"))
    storage.write("study.yaml", b"name: run\n")
    Replica(folder, storage)
    storage.write("letter.txt", b"dear")
    with pytest.raises(RunFolderError, match=r"letter\.txt"):
        Replica(folder, storage)

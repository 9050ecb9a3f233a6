"""A run goes on from its journal to the result that it would have had: with a toy in place of the training, so that it
can be killed between any two events. `tests/run/test_resume.py` kills real ones."""

from __future__ import annotations

import dataclasses
import signal

import pytest

from aesweep.process.errors import JournalError, RunFolderError
from aesweep.run.outcome import Outcome
from aesweep.search.replay import (
    check_images,
    missing,
    recorded_study,
    stage_seconds,
    unrecorded_seconds,
)
from aesweep.storage.event_reader import parse_event
from aesweep.storage.journal import Journal, read_journal
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.study_file import load_study
from tests.search.toy_cluster import (
    ToyCluster,
    cut,
    finished,
    interruption,
    models,
    new_run,
    record,
    toy,  # noqa: F401 - a fixture
    toy_images,  # noqa: F401 - a fixture
    toy_study,  # noqa: F401 - a fixture
)


@pytest.mark.parametrize("case", ["plain", "diverging and failing"])
def test_run_killed_between_any_two_events_has_the_record_that_it_would_have_had(
    study,
    tmp_path,
    images,
    monkeypatch,
    case,
):
    if case != "plain":
        monkeypatch.setattr(ToyCluster, "diverging", frozenset({"architecture-digits-0001"}))
        monkeypatch.setattr(ToyCluster, "failing", frozenset({"regularization-digits-0002"}))
    whole = RunFolder(tmp_path / "whole")
    events = finished(study, whole, images)
    assert {event["kind"] for event in events} > {"baseline", "pictures", "retrained", "stage_winner", "decision"}
    # The best of each cell, and every retraining.
    winners = {event["trial"] for event in events if event["kind"] in ("cell_winner", "retrained")}
    expected = sorted(trial for trial in winners if trial)
    assert models(whole) == expected
    lines = whole.journal.read_bytes().splitlines(keepends=True)
    for number in range(1, len(lines)):
        folder = RunFolder(tmp_path / f"{number}")
        cut(folder, lines, number)
        outcome = new_run(study, folder, images).resume(["aesweep", "resume"])
        resumed = read_journal(folder.journal)
        assert record(resumed) == record(events), f"killed after {events[number - 1]}"
        assert outcome.status == resumed[-1]["status"] == events[-1]["status"]
        assert sum(event["kind"] == "resumed" for event in resumed) == 1
        assert models(folder) == expected


def test_journal_cut_at_any_byte_is_resumed_or_refused_and_never_a_new_run(small_study, write_study, tmp_path, images):
    """What is decided before anything is trained; from each whole line on, the test above goes all the way.

    Two trials of one cell have every kind of event; what is read grows with the square of the journal's length.
    """
    del small_study["stages"]["regularization"]
    small_study["stages"]["architecture"] |= {"samples": 2, "epochs": 3}
    small_study["stages"]["architecture"]["space"] |= {"hidden_layers": {"grid": [[32]]}, "latent_dim": {"grid": [4]}}
    small_study["retraining"] = {"epochs": 1, "seeds": 1}
    study = load_study(write_study(small_study))
    whole, folder = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    events = finished(study, whole, images)
    assert {event["kind"] for event in events} > {"baseline", "pictures", "retrained", "stage_winner", "decision"}
    content = whole.journal.read_bytes()
    folder.root.mkdir()
    num_refused = 0
    for length in range(len(content) + 1):
        kept = content[:length]
        folder.journal.write_bytes(kept)
        found = read_journal(folder.journal)
        assert found == events[: kept.count(b"\n")]
        torn = length - kept.rfind(b"\n") - 1
        if found and torn not in (0, 1, 50):
            continue  # what follows is taken from the events that were found
        try:
            assert recorded_study(RunState(found), folder.journal) == study
        except JournalError as error:
            assert not found and len(str(error).splitlines()) == 1
            num_refused += 1
            continue
        Journal(folder.journal).close()
        assert folder.journal.read_bytes() == kept[: kept.rfind(b"\n") + 1]
        assert RunState(found).is_over == (length == len(content))
        for trial, standing in RunState(found).trials.items():
            rows = [event for event in found if event["kind"] == "row" and event["trial"] == trial]
            assert standing.epochs == len(rows)
    assert num_refused == content.index(b"\n") + 1


def test_run_killed_again_and_again_has_the_record_that_it_would_have_had(study, tmp_path, images):
    whole, folder = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")
    events = finished(study, whole, images)
    lines = whole.journal.read_bytes().splitlines(keepends=True)
    cut(folder, lines, 1)
    num_resumed = 0
    while not RunState(read_journal(folder.journal)).is_over:
        num_resumed += 1
        before = len(read_journal(folder.journal))
        new_run(study, folder, images).resume(["aesweep", "resume"])
        if len(read_journal(folder.journal)) > before + 30:
            kept = folder.journal.read_bytes().splitlines(keepends=True)[: before + 30]
            folder.journal.write_bytes(b"".join(kept))
    assert num_resumed > 3
    assert record(read_journal(folder.journal)) == record(events)


@pytest.mark.parametrize("epochs", [1, 4, 17, 40, 62])
def test_run_interrupted_by_a_signal_goes_on_to_the_same_record(study, tmp_path, images, monkeypatch, epochs):
    events = finished(study, RunFolder(tmp_path / "whole"), images)
    folder = RunFolder(tmp_path / "interrupted")
    monkeypatch.setattr(ToyCluster, "trained", [])
    monkeypatch.setattr(ToyCluster, "interrupt_after", epochs)
    outcome = new_run(study, folder, images).execute(["aesweep"])
    assert outcome == Outcome("interrupted", signal.SIGINT, [])
    monkeypatch.setattr(interruption, "signal_number", None)
    monkeypatch.setattr(ToyCluster, "interrupt_after", None)
    assert new_run(study, folder, images).resume(["aesweep", "resume"]).status == "completed"
    resumed = read_journal(folder.journal)
    assert record(resumed) == record(events)
    assert [event["status"] for event in resumed if event["kind"] == "run_ended"] == ["interrupted", "completed"]


@pytest.mark.parametrize("damage", ["missing", "emptied", "changed"])
def test_checkpoint_that_is_lost_is_trained_again_and_no_other(study, tmp_path, images, damage):
    folder = RunFolder(tmp_path / "run")
    events = finished(study, folder, images)
    lost = [event for event in events if event["kind"] == "retrained"][1]
    path = folder.root / lost["checkpoint"]["file"]
    path.unlink() if damage == "missing" else path.write_bytes(b"" if damage == "emptied" else b"another")
    ToyCluster.trained.clear()
    assert new_run(study, folder, images).resume(["aesweep", "resume"]).status == "completed"
    resumed = read_journal(folder.journal)
    added = [event["kind"] for event in resumed[len(events) :]]
    assert added == ["resumed", "checkpoint_lost", "retrained", "trial_ended", "run_ended"]
    assert resumed[len(events) + 2]["checkpoint"] == lost["checkpoint"]
    assert {trial for trial, _ in ToyCluster.trained} == {lost["trial"]}
    before = folder.journal.read_bytes()
    assert new_run(study, folder, images).resume(["aesweep", "resume"]).status == "completed"
    assert folder.journal.read_bytes() == before


def test_finished_run_is_left_as_it_is(study, tmp_path, images):
    folder = RunFolder(tmp_path / "run")
    finished(study, folder, images)
    before = folder.journal.read_bytes()
    assert new_run(study, folder, images).resume(["aesweep", "resume"]).status == "completed"
    assert folder.journal.read_bytes() == before


def test_trials_that_ended_and_stages_that_are_closed_are_not_trained_again(study, tmp_path, images, monkeypatch):
    whole, folder = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")
    events = finished(study, whole, images)
    lines = whole.journal.read_bytes().splitlines(keepends=True)
    number = [event["kind"] for event in events].index("stage_ended") + 20
    cut(folder, lines, number)
    ended = {event["trial"] for event in events[:number] if event["kind"] == "trial_ended"}
    monkeypatch.setattr(ToyCluster, "trained", [])
    new_run(study, folder, images).resume(["aesweep", "resume"])
    assert ended and not ended & {trial for trial, _ in ToyCluster.trained}


def test_retraining_asked_for_with_other_settings_is_finished_after_a_kill_too(study, tmp_path, images):
    whole = RunFolder(tmp_path / "whole")
    finished(study, whole, images)
    run = new_run(study, whole, images)
    assert run.execute_retraining(["aesweep", "retrain"], epochs=3, seeds=4).status == "completed"
    events = read_journal(whole.journal)
    asked = next(event["seq"] for event in events if event["kind"] == "retraining_asked")
    lines = whole.journal.read_bytes().splitlines(keepends=True)
    for number in range(asked + 1, len(events), 7):
        cut(folder := RunFolder(tmp_path / f"{number}"), lines, number)
        assert new_run(study, folder, images).resume(["aesweep", "resume"]).status == "completed"
        assert record(read_journal(folder.journal)) == record(events)
    assert len({e["seed"] for e in events if e["kind"] == "retraining_created" and e["epochs"] == 3}) == 4


def test_states_of_ended_trials_are_removed_and_those_of_open_ones_kept(study, tmp_path, images, monkeypatch):
    folder = RunFolder(tmp_path / "run")
    monkeypatch.setattr(ToyCluster, "interrupt_after", 17)
    new_run(study, folder, images).execute(["aesweep"])
    standing = RunState(read_journal(folder.journal)).trials
    last = [trial for trial, found in standing.items() if found.status is None and found.epochs]
    ended = [trial for trial, found in standing.items() if found.status]
    folder.states.mkdir()
    names = {f"{trial}.1.safetensors" for trial in (*last, *ended)} | {".torn.safetensors.x1", "other"}
    for name in names:
        (folder.states / name).write_bytes(b"")
    monkeypatch.setattr(interruption, "signal_number", None)
    monkeypatch.setattr(ToyCluster, "interrupt_after", len(ToyCluster.trained) + 1)
    run = new_run(study, folder, images)
    run._finish = lambda: Outcome("interrupted", signal.SIGINT, [])
    run.resume(["aesweep", "resume"])
    assert last and ended
    assert {path.name for path in folder.states.iterdir()} == {f"{trial}.1.safetensors" for trial in last}


def test_journal_of_nothing_is_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path).close()
    with pytest.raises(JournalError, match="nothing was recorded yet"):
        recorded_study(RunState(read_journal(path)), path)


def test_study_that_is_not_what_its_hash_says_is_refused(study, tmp_path, images):
    events = finished(study, RunFolder(tmp_path / "run"), images)
    assert recorded_study(RunState(events), tmp_path) == study
    events[0]["study"]["seed"] += 1
    with pytest.raises(JournalError, match="the study's hash"):
        recorded_study(RunState(events), tmp_path)


@pytest.mark.parametrize("field", ["sha256", "shape", "num_validation_images"])
def test_changed_images_are_refused_with_one_line(study, tmp_path, images, field):
    events = finished(study, RunFolder(tmp_path / "run"), images)
    found = {name: dict(values) for name, values in events[0]["datasets"].items()}
    check_images(RunState(events), found, tmp_path)
    found["digits"][field] = "another"
    with pytest.raises(JournalError, match=f"data set digits: {field} is another now") as error:
        check_images(RunState(events), found, tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_decision_that_does_not_follow_from_those_before_is_refused(study, tmp_path, images):
    whole, folder = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "changed")
    events = finished(study, whole, images)
    folder.root.mkdir()
    stops = [event["seq"] for event in events if event["kind"] == "decision" and event["action"] == "stop"]
    with Journal(folder.journal) as journal:
        for event in events[: stops[0] + 1]:
            if event["seq"] == stops[0]:
                event["action"] = "continue"
            journal.append(event["kind"], **{k: v for k, v in event.items() if k not in ("seq", "kind", "time")})
    with pytest.raises(JournalError, match="does not follow from those before it"):
        new_run(study, folder, images).resume(["aesweep", "resume"])


def test_trial_of_another_configuration_is_refused(study, tmp_path, images):
    events = finished(study, RunFolder(tmp_path / "run"), images)
    created = next(event for event in events if event["kind"] == "trial_created")
    expected, known = parse_event(created), RunState(events).events
    assert not list(missing([expected], known, tmp_path))
    configuration = {**expected.configuration, "latent_dim": 99}
    with pytest.raises(JournalError, match="trial_created: configuration"):
        list(missing([dataclasses.replace(expected, configuration=configuration)], known, tmp_path))


def test_time_of_a_session_that_was_killed_is_that_of_its_events():
    def event(kind, time):
        return {"kind": kind, "time": time, "status": "completed"}

    killed = [event("run_started", 10.0), event("row", 17.5)]
    assert unrecorded_seconds(RunState(killed)) == 7.5
    ended = [*killed, event("run_ended", 18.0)]
    assert unrecorded_seconds(RunState(ended)) == 0
    assert unrecorded_seconds(RunState([*ended, event("resumed", 100.0), event("row", 102.0)])) == 2


def test_time_of_a_stage_leaves_out_what_lies_between_sessions():
    def event(kind, time, **fields):
        trial = {"trial": "a"} if kind == "retraining_created" else {}
        return {"kind": kind, "time": time, "status": "completed", "seconds": 1.0, **trial, **fields}

    events = [event("run_started", 0.0), event("stage_started", 5.0, stage="first"), event("row", 8.0)]
    assert stage_seconds(RunState(events), "first") == 0
    events += [event("resumed", 100.0), event("row", 104.0)]
    assert stage_seconds(RunState(events), "first") == 3
    events += [event("run_ended", 105.0), event("resumed", 200.0)]
    assert stage_seconds(RunState(events), "first") == 3 + 4
    events += [event("stage_ended", 300.0, stage="first"), event("retraining_created", 301.0), event("row", 302.0)]
    assert stage_seconds(RunState([*events, event("resumed", 400.0)]), "retraining") == 1
    events += [event("stage_ended", 303.0, stage="retraining"), event("run_ended", 303.0)]
    assert stage_seconds(RunState(events), "retraining") == 0


def test_second_writer_is_refused_with_the_name_of_the_first_and_a_dead_ones_lock_is_taken_over(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.one_writer() as gone:
        assert gone is None
        with pytest.raises(RunFolderError, match=r"is being written by process \d+ on"), folder.one_writer():
            pass
    (tmp_path / ".lock.holder").write_text("process 7 on elsewhere")
    with folder.one_writer() as gone:
        assert gone == "process 7 on elsewhere"
    with folder.one_writer() as gone:
        assert gone is None

"""A run whose sampler learns: each trial is recorded with its basis before it is trained, and a run that is killed
between any two events goes on to the suggestions that it would have had."""

from __future__ import annotations

import json

import pytest

from aesweep.search.samplers.registry import SAMPLERS
from aesweep.storage.journal import read_journal
from aesweep.storage.run_folder import RunFolder
from aesweep.study.search_settings import SAMPLERS as NAMES
from aesweep.study.study_file import load_study
from tests.search.toy_cluster import ToyCluster, cut, finished, new_run, record, toy, toy_images  # noqa: F401 - fixtures


@pytest.fixture
def study(small_study, write_study):
    """Two stages that learn: one with draws in all cells, one with conditions under which some cells have none."""
    small_study["stages"]["architecture"].update(sampler="tpe", samples=4)
    small_study["stages"]["regularization"].update(sampler={"name": "tpe", "shared": False})
    return load_study(write_study(small_study))


def of(events, kind, **fields):
    return [e for e in events if e["kind"] == kind and all(e[name] == value for name, value in fields.items())]


def test_registry_has_the_samplers_that_a_study_may_name():
    assert set(SAMPLERS) == set(NAMES)


def test_trial_is_recorded_with_what_its_suggestion_knew_before_it_is_trained(study, tmp_path, images):
    events = finished(study, RunFolder(tmp_path / "run"), images)
    for name, num_trials in (("architecture", 16), ("regularization", 5)):
        created = of(events, "trial_created", stage=name)
        trials = {event["trial"] for event in created}
        assert len(created) == num_trials == of(events, "stage_started", stage=name)[0]["num_trials"]
        for number, event in enumerate(created):
            before = [e for e in events[: event["seq"]] if e.get("trial") in trials]
            assert event["based_on"] == {"rows": len(of(before, "row")), "ends": len(of(before, "trial_ended"))}
            assert event["based_on"]["ends"] == number  # one worker: all others have ended
    (stage,) = of(events, "stage_started", stage="architecture")
    assert stage["num_cells"] == 4
    assert {len(of(events, "trial_created", cell=event["cell"])) for event in of(events, "cell_winner")} <= {1, 2, 4}


def test_suggestions_lie_within_their_axes_and_differ(study, tmp_path, images):
    created = of(finished(study, RunFolder(tmp_path / "run"), images), "trial_created")
    first = [e["configuration"] for e in created if e["stage"] == "architecture"]
    assert all(0.001 <= found["learning_rate"] <= 0.01 for found in first)
    assert len({found["learning_rate"] for found in first}) == len(first)
    second = [e["configuration"] for e in created if e["stage"] == "regularization"]
    assert len({json.dumps(found) for found in second}) == len(second)
    for found in second:
        assert {name for name in ("l1", "l2") if found[name]} == {
            "none": set(),
            "l1": {"l1"},
            "l1_l2": {"l1", "l2"},
        }[found["regularizer"]]


def test_run_killed_at_any_tenth_event_goes_on_to_the_same_suggestions(study, tmp_path, images):
    whole = RunFolder(tmp_path / "whole")
    events = finished(study, whole, images)
    lines = whole.journal.read_bytes().splitlines(keepends=True)
    created = [event["seq"] for event in events if event["kind"] == "trial_created"]
    # Every tenth event, and around some suggestions: before, right after, and after the end before.
    for number in sorted({*range(1, len(lines), 10), *created[5::4], *(seq + 1 for seq in created[6::4])}):
        cut(folder := RunFolder(tmp_path / f"{number}"), lines, number)
        assert new_run(study, folder, images).resume(["aesweep", "resume"]).status == "completed"
        assert record(read_journal(folder.journal)) == record(events), f"killed after {events[number - 1]}"


def test_interruption_records_no_suggestion_more(study, tmp_path, images, monkeypatch):
    from tests.search.toy_cluster import interruption

    events = finished(study, RunFolder(tmp_path / "whole"), images)
    folder = RunFolder(tmp_path / "interrupted")
    monkeypatch.setattr(ToyCluster, "trained", [])
    monkeypatch.setattr(ToyCluster, "interrupt_after", 17)
    assert new_run(study, folder, images).execute(["aesweep"]).status == "interrupted"
    found = read_journal(folder.journal)
    assert len(of(found, "trial_created")) == len({trial for trial, _ in ToyCluster.trained}) < 16
    monkeypatch.setattr(interruption, "signal_number", None)
    monkeypatch.setattr(ToyCluster, "interrupt_after", None)
    assert new_run(study, folder, images).resume(["aesweep", "resume"]).status == "completed"
    assert record(read_journal(folder.journal)) == record(events)


@pytest.mark.parametrize("asked", [{"samples": 6}, {"epochs": 12}])
def test_extension_goes_on_learning_and_is_finished_by_resume(study, tmp_path, images, asked):
    whole = RunFolder(tmp_path / "whole")
    before = finished(study, whole, images)
    run = new_run(study, whole, images)
    assert run.extend(["aesweep", "extend"], {"architecture": asked}).status == "completed"
    events = read_journal(whole.journal)
    added = of(events[len(before) :], "trial_created")
    if "samples" in asked:
        assert len(added) == 2 * 4 and [event["based_on"]["ends"] for event in added] == [*range(16, 24)]
        assert events[len(before) + 1]["num_trials"] == 24
    else:
        assert all(event["trial"].endswith("-e12") and "based_on" not in event for event in added)
    lines = whole.journal.read_bytes().splitlines(keepends=True)
    for number in range(len(before) + 1, len(lines), 10):
        cut(folder := RunFolder(tmp_path / f"{number}"), lines, number)
        assert new_run(study, folder, images).resume(["aesweep", "resume"]).status == "completed"
        assert record(read_journal(folder.journal)) == record(events), f"killed after {events[number - 1]}"

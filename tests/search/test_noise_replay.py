"""A run whose ASHA asks for the seeds' spread: what it records, and that it goes on by the same rule after a kill."""

from __future__ import annotations

import pytest

from aesweep.process.errors import JournalError
from aesweep.report.rows.reader import read_run
from aesweep.report.sections.search_cost import spared_sentence
from aesweep.storage.journal import Journal, read_journal
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.study_file import load_study
from tests.chaos.checker import violations
from tests.search.toy_cluster import cut, finished, new_run, record, toy, toy_images  # noqa: F401 - fixtures


@pytest.fixture
def study(small_study, write_study):
    stage = small_study["stages"]["architecture"]
    stage.update(samples=5, seeds=3, asha={"grace_period": 1, "reduction_factor": 3, "significance": 0.2})
    del small_study["stages"]["regularization"]
    return load_study(write_study(small_study))


def of(events, kind):
    return [event for event in events if event["kind"] == kind]


def test_decision_holds_the_comparison_by_which_it_was_made(study, tmp_path, images):
    events = finished(study, RunFolder(tmp_path / "run"), images)
    assert violations(events, study.resolved()) == []
    compared = [event for event in of(events, "decision") if "comparison" in event]
    assert {event["action"] for event in compared} == {"continue", "stop"}
    for event in compared:
        assert event["value"] > event["cutoff"] and event["comparison"]["significance"] == 0.2
        is_worse = event["comparison"]["difference"] > event["comparison"]["margin"]
        assert event["action"] == ("stop" if is_worse else "continue")


def test_run_killed_anywhere_goes_on_by_the_same_rule(study, tmp_path, images):
    whole = RunFolder(tmp_path / "whole")
    events = finished(study, whole, images)
    lines = whole.journal.read_bytes().splitlines(keepends=True)
    spared = [e["seq"] for e in of(events, "decision") if "comparison" in e and e["action"] == "continue"]
    for number in sorted({*range(1, len(lines), 9), *spared[::3], *(seq + 1 for seq in spared[1::3])}):
        cut(folder := RunFolder(tmp_path / f"{number}"), lines, number)
        assert new_run(study, folder, images).resume(["aesweep", "resume"]).status == "completed"
        assert record(read_journal(folder.journal)) == record(events), f"killed after {events[number - 1]}"


def test_report_says_how_many_went_on(study, tmp_path, images):
    events = finished(study, RunFolder(tmp_path / "run"), images)
    spared = {e["trial"] for e in of(events, "decision") if "comparison" in e and e["action"] == "continue"}
    said = spared_sentence(read_run(RunState(events)).stages["architecture"], "digits")
    assert said == f" {len(spared)} trials went on below a cutoff, as far as chance explains (level 0.2)."


@pytest.mark.parametrize("planted", [{"difference": 0.0}, {"margin": 9.0}, {"rival": "another"}, {"significance": 0.3}])
def test_another_comparison_is_found_by_the_checker(study, tmp_path, images, planted):
    events = finished(study, RunFolder(tmp_path / "run"), images)
    next(event for event in of(events, "decision") if "comparison" in event)["comparison"].update(planted)
    assert len(violations(events, study.resolved())) == 1


def test_trial_that_was_stopped_though_chance_explains_it_is_refused(study, tmp_path, images):
    events = finished(study, RunFolder(tmp_path / "whole"), images)
    spared = next(e for e in of(events, "decision") if "comparison" in e and e["action"] == "continue")
    folder = RunFolder(tmp_path / "changed")
    folder.root.mkdir()
    with Journal(folder.journal) as journal:
        for event in events[: spared["seq"] + 1]:
            fields = {name: value for name, value in event.items() if name not in ("seq", "kind", "time")}
            journal.append(event["kind"], **{**fields, **({"action": "stop"} if event is spared else {})})
    with pytest.raises(JournalError, match="does not follow from those before it"):
        new_run(study, folder, images).resume(["aesweep", "resume"])

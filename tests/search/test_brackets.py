"""Brackets of early stopping: their shares of the samples and of the epochs, their rungs, and runs that have them."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import pytest

from aesweep.report.rows.reader import read_run
from aesweep.search.schedulers.asha import asha_of
from aesweep.search.schedulers.brackets import bracket_of, bracket_rungs
from aesweep.storage.journal import read_journal
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.schema import Stage
from aesweep.study.study_file import load_study
from tests.chaos.checker import violations
from tests.search.toy_cluster import cut, finished, new_run, record, toy, toy_images  # noqa: F401 - fixtures


def stage(brackets: int | None, epochs: int = 27, grace: int = 1, factor: float = 3) -> Stage:
    return Stage.model_validate(
        {
            "space": {"hidden_layers": [4], "latent_dim": {"grid": [2]}},
            "table": {"rows": "latent_dim"},
            "epochs": epochs,
            "asha": {"grace_period": grace, "reduction_factor": factor, "brackets": brackets},
        }
    )


# Of a trial that one in three leaves each rung: 1 + 2/3 + 6/9 + 18/27 epochs, then 3 + 6/3 + 18/9, 9 + 18/3 and 27.
@pytest.mark.parametrize("num_brackets", [1, 2, 3, 4])
def test_every_bracket_takes_the_same_number_of_epochs(num_brackets):
    epochs = [3, 7, 15, 27][:num_brackets]
    dealt = Counter(bracket_of(stage(num_brackets), sample) for sample in range(3000))
    spent = [dealt[bracket] * epochs[bracket] for bracket in range(num_brackets)]
    assert max(spent) - min(spent) < 0.02 * max(spent)


@pytest.mark.parametrize(("num_brackets", "epochs", "grace", "factor"), [(2, 9, 3, 3), (3, 30, 2, 4), (4, 81, 1, 3)])
def test_shares_hold_from_the_first_samples_on(num_brackets, epochs, grace, factor):
    dealt = [bracket_of(stage(num_brackets, epochs, grace, factor), sample) for sample in range(2000)]
    shares = [dealt.count(bracket) / len(dealt) for bracket in range(num_brackets)]
    assert dealt[0] == 0 and shares == sorted(shares, reverse=True)
    for length in range(1, len(dealt)):
        for bracket, share in enumerate(shares):
            assert abs(dealt[:length].count(bracket) - share * length) < 1 + math.log2(length + 1) / 2


def test_bracket_skips_the_first_rungs_and_the_last_one_may_have_none():
    assert [bracket_rungs(stage(4), bracket) for bracket in (None, 0, 1, 2, 3)] == [
        [1, 3, 9],
        [1, 3, 9],
        [3, 9],
        [9],
        [],
    ]
    asha = asha_of(stage(2), 1)
    assert asha.decide("t", 1, 0.5) is None and asha.decide("t", 3, 0.5).keep


def test_stage_without_brackets_has_none():
    assert bracket_of(stage(None), 7) is None
    assert bracket_of(stage(None).model_copy(update={"asha": "none"}), 7) is None


@pytest.fixture
def study(small_study, write_study):
    stage = small_study["stages"]["architecture"]
    stage.update(samples=9, epochs=9, asha={"grace_period": 1, "reduction_factor": 3, "brackets": 2})
    del small_study["stages"]["regularization"]
    return load_study(write_study(small_study))


def test_trials_of_different_brackets_are_not_compared(study, tmp_path, images):
    events = finished(study, RunFolder(tmp_path / "run"), images)
    assert violations(events, study.resolved()) == []
    created = {event["trial"]: event for event in events if event["kind"] == "trial_created"}
    decisions = [event for event in events if event["kind"] == "decision"]
    assert {event["bracket"] for event in created.values()} == {0, 1}
    compared: Counter[tuple] = Counter()
    for event in decisions:
        trial = created[event["trial"]]
        assert event["epoch"] in ([1, 3] if trial["bracket"] == 0 else [3])
        group = str(trial["cell"]), trial["bracket"], event["epoch"]
        assert event["num_compared"] == compared[group]
        compared[group] += 1
    ends = {event["trial"]: event["status"] for event in events if event["kind"] == "trial_ended"}
    for cell in {str(event["cell"]) for event in created.values()}:
        for bracket in (0, 1):
            mine = [name for name, e in created.items() if (str(e["cell"]), e["bracket"]) == (cell, bracket)]
            assert "completed" in {ends[name] for name in mine}


def test_run_killed_anywhere_keeps_its_brackets(study, tmp_path, images):
    whole = RunFolder(tmp_path / "whole")
    events = finished(study, whole, images)
    lines = whole.journal.read_bytes().splitlines(keepends=True)
    for number in range(1, len(lines), 13):
        cut(folder := RunFolder(tmp_path / f"{number}"), lines, number)
        assert new_run(study, folder, images).resume(["aesweep", "resume"]).status == "completed"
        assert record(read_journal(folder.journal)) == record(events), f"killed after {events[number - 1]}"


@pytest.mark.parametrize("planted", [1, 2, None])
def test_another_bracket_is_found_by_the_checker(study, tmp_path, images, planted):
    events = finished(study, RunFolder(tmp_path / "run"), images)
    first = next(event for event in events if event["kind"] == "trial_created")
    assert first["bracket"] == 0
    first["bracket"] = planted
    assert violations(events, study.resolved())


def test_report_tells_of_each_bracket(study, tmp_path, images):
    from aesweep.report.sections.search_cost import brackets_sentence

    events = finished(study, RunFolder(tmp_path / "run"), images)
    created = [event["bracket"] for event in events if event["kind"] == "trial_created"]
    said = brackets_sentence(read_run(RunState(events)).stages["architecture"], "digits")
    assert said == f" {created.count(0)} trials were compared from epoch 1 on and {created.count(1)} from epoch 3 on."


def test_report_tells_of_brackets_by_each_trials_own_budget(study, tmp_path, images):
    """The last of three brackets has no rung in 9 epochs, and one in the 27 that an extension gives what it trained."""
    from aesweep.report.sections.search_cost import brackets_sentence

    study.stages["architecture"].asha.brackets = 3
    events = finished(study, RunFolder(tmp_path / "run"), images)
    stage = read_run(RunState(events)).stages["architecture"]
    never = sum(trial.bracket == 2 for trial in stage.trials)
    assert never and f"from epoch 3 on and {never} never." in brackets_sentence(stage, "digits")
    longer = [
        dataclasses.replace(trial, name=f"{trial.name}-e27", budget=27) for trial in stage.trials if trial.bracket == 2
    ]
    extended = dataclasses.replace(stage, rungs=(1, 3, 9), epochs=27, trials=(*stage.trials, *longer))
    assert f"{len(longer)} from epoch 9 on and {never} never." in brackets_sentence(extended, "digits")

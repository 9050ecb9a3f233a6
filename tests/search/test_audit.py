"""Stopped trials that go on out of competition: who is drawn, what is recorded, and that nothing else changes."""

from __future__ import annotations

import dataclasses

import pytest

from aesweep.process.errors import JournalError
from aesweep.run.preflight.work import expected_epochs
from aesweep.search.samplers.standing import standings
from aesweep.search.schedulers.audit import is_drawn
from aesweep.storage.journal import Journal, read_journal
from aesweep.storage.run_folder import CHECKPOINTS, RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.schema import Stage
from aesweep.study.study_file import load_study
from tests.chaos.checker import violations
from tests.search.toy_cluster import cut, finished, new_run, record, toy, toy_images  # noqa: F401 - fixtures


def stage(audit: float | None, **asha) -> Stage:
    return Stage.model_validate(
        {
            "space": {"hidden_layers": [4], "latent_dim": {"grid": [2]}},
            "table": {"rows": "latent_dim"},
            "epochs": 27,
            "asha": {"audit": audit, **asha},
        }
    )


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_share_of_the_trials_that_are_drawn(share):
    drawn = [is_drawn(stage(share), "1/architecture", f"t{number}") for number in range(4000)]
    assert sum(drawn) / len(drawn) == pytest.approx(share, abs=0.03)  # four standard deviations
    assert drawn == [is_drawn(stage(share), "1/architecture", f"t{number}") for number in range(4000)]
    assert drawn != [is_drawn(stage(share), "2/architecture", f"t{number}") for number in range(4000)]


def test_all_or_none_are_drawn():
    assert all(is_drawn(stage(1), "1/s", f"t{number}") for number in range(50))
    assert not any(is_drawn(stage(None), "1/s", f"t{number}") for number in range(50))
    assert not is_drawn(stage(1).model_copy(update={"asha": "none"}), "1/s", "t1")


def test_plan_counts_what_is_trained_on():
    # 9 trials: 3 go on at epoch 1, one at 3, it alone at 9. So 6 stop at 1 and 2 at 3.
    assert expected_epochs(9, stage(None)) == 9 + 3 * 2 + 24
    assert expected_epochs(9, stage(0.5)) == 9 + 3 * 2 + 24 + round(0.5 * (6 * 26 + 2 * 24))
    assert expected_epochs(9, stage(1)) == 9 * 27


def study_of(small_study, write_study, audit):
    stage = small_study["stages"]["architecture"]
    stage.update(samples=7, epochs=9, asha={"grace_period": 1, "reduction_factor": 3, "audit": audit})
    if audit is None:
        del stage["asha"]["audit"]
    small_study["stages"].pop("regularization", None)
    return load_study(write_study(small_study))


@pytest.fixture
def study(small_study, write_study):
    return study_of(small_study, write_study, 0.5)


def of(events, kind):
    return [event for event in events if event["kind"] == kind]


def test_competition_is_the_same_as_without_an_audit(study, small_study, write_study, tmp_path, images):
    events = finished(study, RunFolder(tmp_path / "audited"), images)
    plain = finished(study_of(small_study, write_study, None), RunFolder(tmp_path / "plain"), images)
    assert violations(events, study.resolved()) == []
    actions = {(e["trial"], e["epoch"]): e["action"] for e in of(events, "decision")}
    assert {"stop", "audit", "continue"} == set(actions.values())
    assert {place: {"audit": "stop"}.get(action, action) for place, action in actions.items()} == {
        (e["trial"], e["epoch"]): e["action"] for e in of(plain, "decision")
    }
    assert record(of(events, "cell_winner")) == record(of(plain, "cell_winner"))
    known = {(row["trial"], row["epoch"]): row["training_mse"] for row in of(plain, "row")}
    rows = {(row["trial"], row["epoch"]): row["training_mse"] for row in of(events, "row")}
    assert known.items() <= rows.items()
    audited = {trial for (trial, _), action in actions.items() if action == "audit"}
    assert {trial for trial, _ in rows.keys() - known.keys()} == audited
    for trial in audited:
        (end,) = (e for e in of(events, "trial_ended") if e["trial"] == trial)
        assert (end["status"], end["epochs"]) == ("audited", 9)


def test_no_file_of_an_audited_trial_is_kept(study, tmp_path, images):
    folder = RunFolder(tmp_path / "run")
    events = finished(study, folder, images)
    audited = {e["trial"] for e in of(events, "trial_ended") if e["status"] == "audited"}
    left = {path.name for path in (folder.root / CHECKPOINTS).iterdir()}
    assert audited and left and not any(name.startswith(trial) for name in left for trial in audited)


def test_run_killed_anywhere_audits_the_same_trials(study, tmp_path, images):
    whole = RunFolder(tmp_path / "whole")
    events = finished(study, whole, images)
    lines = whole.journal.read_bytes().splitlines(keepends=True)
    audits = [e["seq"] for e in of(events, "decision") if e["action"] == "audit"]
    ends = [e["seq"] for e in of(events, "trial_ended") if e["status"] == "audited"]
    for number in sorted({*audits[::2], *(seq + 1 for seq in audits[::2]), ends[0], audits[-1] + 4}):
        cut(folder := RunFolder(tmp_path / f"{number}"), lines, number)
        assert new_run(study, folder, images).resume(["aesweep", "resume"]).status == "completed"
        assert record(read_journal(folder.journal)) == record(events), f"killed after {events[number - 1]}"


def test_sampler_learns_nothing_from_what_is_out_of_competition(study, tmp_path, images):
    events = finished(study, RunFolder(tmp_path / "run"), images)
    trials = list(RunState(events).of("architecture").values())
    found = standings(trials, study.stages["architecture"])
    cut_off = [dataclasses.replace(trial, rows=trial.competing_rows, audited_from=None) for trial in trials]
    assert any(len(trial.rows) > len(trial.competing_rows) for trial in trials)
    assert found == standings(cut_off, study.stages["architecture"])


@pytest.mark.parametrize("action", ["stop", "audit"])
def test_decision_on_who_goes_on_is_derived_again(study, tmp_path, images, action):
    events = finished(study, RunFolder(tmp_path / "whole"), images)
    changed = next(e for e in of(events, "decision") if e["action"] == action)
    folder = RunFolder(tmp_path / "changed")
    folder.root.mkdir()
    other = {"action": {"stop": "audit", "audit": "stop"}[action]}
    with Journal(folder.journal) as journal:
        for event in events[: changed["seq"] + 1]:
            fields = {name: value for name, value in event.items() if name not in ("seq", "kind", "time")}
            journal.append(event["kind"], **{**fields, **(other if event is changed else {})})
    with pytest.raises(JournalError, match="does not follow from those before it"):
        new_run(study, folder, images).resume(["aesweep", "resume"])

"""A finished run is added to, with the toy cluster of `tests/search/toy_cluster.py`, which can be killed anywhere."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from aesweep.cli.commands import commands
from aesweep.process.errors import JournalError, StudyError
from aesweep.report.rows.reader import read_run
from aesweep.search.extension import asked_for
from aesweep.storage.journal import read_journal
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from tests.search.test_quasi_random import draw
from tests.search.toy_cluster import ToyCluster, cut, finished, new_run, record, toy, toy_images, toy_study  # noqa: F401 - fixtures

COMMAND = ["aesweep", "extend", "here"]


def of(events, kind, **fields):
    return [e for e in events if e["kind"] == kind and all(e[name] == value for name, value in fields.items())]


def extended(study, folder, images, asked):
    assert new_run(study, folder, images).extend(COMMAND, asked).status == "completed"
    return read_journal(folder.journal)


@pytest.fixture
def folder(study, images, tmp_path):
    """A finished run."""
    folder = RunFolder(tmp_path / "run")
    finished(study, folder, images)
    return folder


def test_more_samples_are_those_that_a_larger_study_would_have_drawn(study, images, folder):
    before = read_journal(folder.journal)
    events = extended(study, folder, images, {"architecture": {"samples": 5}})
    assert events[: len(before)] == before
    stage = study.stages["architecture"]
    expected = [point.as_dict() for point in draw(stage.space, 5, f"{study.seed}/architecture", None)]
    created = of(events, "trial_created", stage="architecture")
    assert [event["configuration"] for event in created] == json.loads(json.dumps(expected))
    assert len({event["trial"] for event in created}) == len(created) == 5 * 4
    ended = {event["trial"] for event in of(events, "trial_ended")}
    assert {event["trial"] for event in created} <= ended


def test_new_samples_compete_on_the_rungs_that_the_earlier_ones_filled(study, images, folder):
    before = len(read_journal(folder.journal))
    events = extended(study, folder, images, {"architecture": {"samples": 6}})
    compared = [event["num_compared"] for event in of(events[before:], "decision", epoch=1)]
    assert min(compared) == 3 and max(compared) == 5


def test_longer_budget_trains_anew_what_was_trained_to_its_end(study, images, folder):
    before = read_journal(folder.journal)
    completed = {e["trial"] for e in of(before, "trial_ended", status="completed")}
    completed &= {e["trial"] for e in of(before, "trial_created", stage="architecture")}
    events = extended(study, folder, images, {"architecture": {"epochs": 20}})
    new = of(events[len(before) :], "trial_created")
    assert {event["trial"] for event in new} == {f"{trial}-e20" for trial in completed}
    assert {event["epochs"] for event in new} == {20}
    configurations = {event["trial"]: event["configuration"] for event in of(events, "trial_created")}
    assert all(event["configuration"] == configurations[event["trial"].removesuffix("-e20")] for event in new)
    # Under another schedule values are not comparable, so the first at each rung finds it empty.
    assert {event["num_compared"] for event in of(events[len(before) :], "decision", epoch=1)} <= {0, 1, 2}
    assert 0 in {event["num_compared"] for event in of(events[len(before) :], "decision", epoch=1)}


def test_later_stage_keeps_what_it_started_from(study, images, folder):
    before = read_journal(folder.journal)
    events = extended(study, folder, images, {"architecture": {"samples": 9}, "regularization": {"samples": 4}})
    (first,) = of(before, "stage_winner", stage="architecture")
    last = of(events, "stage_winner", stage="architecture")[-1]
    assert last["trial"] != first["trial"], "the extension was to find a better one"
    based = {
        json.dumps(e["configuration"]["hidden_layers"]) for e in of(events, "trial_created", stage="regularization")
    }
    rates = {e["configuration"]["learning_rate"] for e in of(events, "trial_created", stage="regularization")}
    assert based == {json.dumps(first["configuration"]["hidden_layers"])}
    assert rates == {first["configuration"]["learning_rate"]}


def test_new_winners_are_retrained_and_beaten_ones_stand_for_nothing(study, images, folder):
    events = extended(study, folder, images, {"architecture": {"samples": 9}})
    run = read_run(RunState(events))
    (winner,) = [stage.best("digits") for stage in run.stages.values() if stage.name == "architecture"]
    served = {
        trial for retraining in run.retrainings for stage, _, trial in retraining.serves if stage == "architecture"
    }
    assert served == {winner.name}
    assert any(not retraining.serves for retraining in run.retrainings)
    assert run.commands[-1] == tuple(COMMAND)
    assert run.status == "completed" and all(stage.seconds is not None for stage in run.stages.values())


@pytest.mark.parametrize("asked", [{"architecture": {"samples": 5}}, {"regularization": {"epochs": 8}}])
def test_extension_killed_anywhere_is_finished_by_resume(study, images, folder, tmp_path, asked):
    before = len(read_journal(folder.journal))
    events = extended(study, folder, images, asked)
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    for number in range(before + 1, len(lines), 3):
        cut(killed := RunFolder(tmp_path / f"{number}"), lines, number)
        assert new_run(study, killed, images).resume(["aesweep", "resume"]).status == "completed"
        assert record(read_journal(killed.journal)) == record(events), f"killed after {events[number - 1]}"


def test_extensions_follow_each_other(study, images, folder):
    extended(study, folder, images, {"architecture": {"epochs": 12}})
    extended(study, folder, images, {"architecture": {"samples": 4}})
    events = extended(study, folder, images, {"architecture": {"epochs": 15}})
    created = of(events, "trial_created", stage="architecture")
    assert {event["epochs"] for event in created if "-e" not in event["trial"]} == {9, 12}
    assert {event["epochs"] for event in created if event["trial"].endswith("-e15")} == {15}
    assert len({event["trial"] for event in created}) == len(created)
    openings = [*of(events, "stage_started"), *of(events, "stage_extended", stage="architecture")]
    assert openings[-1]["num_trials"] == len(created)


def test_run_that_has_not_ended_is_not_extended(study, images, folder, tmp_path):
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    cut(killed := RunFolder(tmp_path / "killed"), lines, 40)
    with pytest.raises(JournalError, match=r"has not ended.*aesweep resume"):
        new_run(study, killed, images).extend(COMMAND, {"architecture": {"samples": 5}})


@pytest.mark.parametrize(
    ("names", "asked", "message"),
    [
        (["nothing"], {"samples": 1, "epochs": None}, "no stage is called 'nothing'; there are architecture"),
        ([], {"samples": None, "epochs": 9}, "stage architecture has 9 epochs already: expected more, got 9"),
        (["plain"], {"samples": 1, "epochs": None}, "stage plain draws nothing at random"),
    ],
)
def test_extension_that_adds_nothing_is_refused(small_study, write_study, names, asked, message):
    from aesweep.study.study_file import load_study

    plain = {
        "space": {"hidden_layers": [8], "latent_dim": {"grid": [2, 3]}},
        "table": {"rows": "latent_dim"},
        "epochs": 2,
    }
    small_study["stages"]["plain"] = plain
    with pytest.raises(StudyError, match=message):
        asked_for(load_study(write_study(small_study)), RunState([]), names, **asked, source="run")


def test_samples_are_counted_from_the_last_extension(small_study, write_study):
    from aesweep.study.study_file import load_study

    study = load_study(write_study(small_study))
    events = [{"kind": "extended", "seq": 9, "stages": {"architecture": {"samples": 5}}}]
    asked = asked_for(study, RunState(events), ["architecture"], samples=2, epochs=None, source="run")
    assert asked == {"architecture": {"samples": 7}}


def test_commands_that_go_on_with_a_run_record_what_they_were_told(study, folder, monkeypatch):
    monkeypatch.setattr("aesweep.run.session.write_report", lambda folder: folder.report)
    for arguments in (["extend", "--samples", "1"], ["retrain", "--seeds", "3"], ["resume"]):
        before = read_journal(folder.journal)
        done = CliRunner().invoke(commands, [*arguments, str(folder.root), "--quiet"])
        assert (done.exit_code, done.stdout) == (0, f"{folder.report}\n")
        added = read_journal(folder.journal)[len(before) :]
        if arguments[0] == "extend":
            assert added[0]["stages"] == {name: {"samples": stage.samples + 1} for name, stage in study.stages.items()}
        elif arguments[0] == "retrain":
            assert (added[0]["kind"], added[0]["seeds"]) == ("retraining_asked", 3)
        else:
            assert added == []  # nothing was left to do


def test_extension_of_an_unknown_stage_is_told_before_images_are_loaded(folder, monkeypatch):
    monkeypatch.setattr("aesweep.study.inputs.load_images", None)
    before = folder.journal.read_bytes()
    done = CliRunner().invoke(commands, ["extend", str(folder.root), "--samples", "1", "--stage", "none"])
    assert done.exit_code == 78 and "no stage is called 'none'" in done.stderr
    assert folder.journal.read_bytes() == before

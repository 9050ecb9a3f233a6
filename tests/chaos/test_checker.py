"""The checker of disturbed runs finds what is planted in a good journal, and nothing in the good one."""

from __future__ import annotations

import copy

import pytest

from aesweep.storage.journal import read_journal
from aesweep.storage.run_folder import RunFolder
from aesweep.study.study_file import load_study
from tests.chaos.checker import violations
from tests.search.toy_cluster import ToyCluster, finished, new_run, toy, toy_images, toy_study  # noqa: F401 - fixtures


@pytest.fixture
def events(study, tmp_path, images):
    folder = RunFolder(tmp_path / "run")
    finished(study, folder, images)
    return read_journal(folder.journal)


def first(events, kind, **fields):
    return next(e for e in events if e["kind"] == kind and all(e[name] == value for name, value in fields.items()))


def numbered(events):
    return [{**event, "seq": number} for number, event in enumerate(events)]


PLANTED = {
    "a row is missing": lambda e: e.remove(first(e, "row", epoch=2)),
    "a row stands twice": lambda e: e.insert(e.index(first(e, "row", epoch=2)), dict(first(e, "row", epoch=2))),
    "a decision is missing": lambda e: e.remove(first(e, "decision")),
    "a decision is another": lambda e: first(e, "decision", action="stop").update(action="continue"),
    "a value is another": lambda e: first(e, "decision").update(value=0.123),
    "a cutoff is another": lambda e: first(e, "decision", num_compared=2).update(cutoff=0.123),
    "a count is another": lambda e: first(e, "decision", num_compared=2).update(num_compared=1),
    "an end is missing": lambda e: e.remove(first(e, "trial_ended")),
    "an end stands twice": lambda e: e.append(dict(first(e, "trial_ended"))),
    "an end is another": lambda e: first(e, "trial_ended", status="stopped").update(status="completed"),
    "a cell's winner is another": lambda e: first(e, "cell_winner").update(trial="architecture-digits-0011"),
    "the stage's winner is another": lambda e: first(e, "stage_winner").update(trial="architecture-digits-0011"),
    "a trial has another seed": lambda e: first(e, "trial_created").update(seeds=[99]),
    "a trial is not of its cell": lambda e: first(e, "trial_created")["cell"].update(latent_dim=99),
    "a later stage starts from another": lambda e: first(e, "trial_created", stage="regularization")[
        "configuration"
    ].update(learning_rate=0.5),
    "a stage has two winners": lambda e: e.insert(
        e.index(first(e, "stage_winner")), {**first(e, "stage_winner"), "dataset": "another"}
    ),
    "a cell's winner stands twice": lambda e: e.insert(e.index(first(e, "cell_winner")), dict(first(e, "cell_winner"))),
    "test baselines are missing": lambda e: e.__setitem__(slice(None), [x for x in e if x.get("split") != "test"]),
    "pictures stand twice": lambda e: e.insert(e.index(first(e, "pictures")), dict(first(e, "pictures"))),
    "a retraining is another": lambda e: first(e, "retraining_created").update(epochs=99),
    "a retraining is missing": lambda e: e.remove(first(e, "retraining_created")),
    "a retraining has no result": lambda e: e.remove(first(e, "retrained")),
    "a trial was created twice": lambda e: e.insert(1, dict(first(e, "trial_created"))),
    "the run has not ended": lambda e: e.pop(),
}


def test_good_journal_has_no_violation(events, study):
    assert violations(events, study.resolved()) == []


@pytest.mark.parametrize("what", PLANTED)
def test_planted_violation_is_found(events, study, what):
    planted = copy.deepcopy(events)
    PLANTED[what](planted)
    assert violations(numbered(planted), study.resolved())


@pytest.fixture
def learned(small_study, write_study, tmp_path, images):
    """The journal of a run whose sampler learns, and its study."""
    small_study["stages"]["architecture"]["sampler"] = "tpe"
    study = load_study(write_study(small_study))
    finished(study, folder := RunFolder(tmp_path / "learned"), images)
    return read_journal(folder.journal), study.resolved()


PLANTED_SUGGESTIONS = {
    "a basis is missing": lambda e: first(e, "trial_created").pop("based_on"),
    "a basis has another row": lambda e: of_number(e, 7)["based_on"].update(rows=1),
    "a basis has another end": lambda e: of_number(e, 7)["based_on"].update(ends=8),
    "a value is out of its interval": lambda e: of_number(e, 7)["configuration"].update(learning_rate=0.011),
    "a constant is another": lambda e: of_number(e, 7)["configuration"].update(batch_size=65),
    "two are the same": lambda e: of_number(e, 8).update(
        configuration=of_number(e, 4)["configuration"], cell=of_number(e, 4)["cell"]
    ),
    "another sampler has a basis": lambda e: first(e, "trial_created", stage="regularization").update(
        based_on={"rows": 0, "ends": 0}
    ),
    "one is missing": lambda e: e.__setitem__(
        slice(None), [x for x in e if x.get("trial") != of_number(e, 7)["trial"]]
    ),
}


def of_number(events, number):
    return [event for event in events if event["kind"] == "trial_created"][number]


def test_good_journal_of_a_sampler_that_learns_has_no_violation(learned):
    assert violations(*learned) == []


@pytest.mark.parametrize("what", PLANTED_SUGGESTIONS)
def test_planted_suggestion_is_found(learned, what):
    events, study = learned
    planted = copy.deepcopy(events)
    PLANTED_SUGGESTIONS[what](planted)
    assert violations(numbered(planted), study)


def test_gap_in_the_numbers_is_found(events, study):
    del events[5]
    assert "the events' numbers have a gap or a double" in violations(events, study.resolved())


def test_row_that_an_undisturbed_training_would_not_give_is_found(events, study):
    rows = {}
    for event in events:
        if event["kind"] == "row":
            rows.setdefault(event["trial"], []).append({"epoch": event["epoch"], "loss": event["loss"]})

    def expected(created):
        return rows.get(created["trial"], [])

    assert violations(events, study.resolved(), expected) == []
    first(events, "row", epoch=2)["loss"] += 1e-12
    assert len(violations(events, study.resolved(), expected)) == 1


def test_pictures_taken_again_after_a_later_retraining_are_no_violation(study, tmp_path, images, monkeypatch):
    whole, folder = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "failed")
    retraining = first(finished(study, whole, images), "retraining_created")["trial"]
    monkeypatch.setattr(ToyCluster, "failing", frozenset({retraining}))
    assert finished(study, folder, images)[-1]["status"] == "failed"
    monkeypatch.setattr(ToyCluster, "failing", frozenset())
    assert new_run(study, folder, images).execute_retraining(["aesweep", "retrain"]).status == "completed"
    events = read_journal(folder.journal)
    pictures = [event["file"] for event in events if event["kind"] == "pictures"]
    assert len(pictures) > len(set(pictures))
    assert violations(events, study.resolved()) == []

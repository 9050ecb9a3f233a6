"""Trials, winners and retrainings of a study, from events made by hand."""

from __future__ import annotations

import json

import pytest

from aesweep.report.status import run_status
from aesweep.search.retraining import chosen_winners, retrainings
from aesweep.search.stages import stage_trials
from aesweep.search.winners import cell_winners, stage_winner
from aesweep.storage.event import cell_key
from aesweep.storage.run_state import RunState
from aesweep.study.configuration import Configuration
from aesweep.study.study_file import load_study


@pytest.fixture
def study(small_study, write_study):
    return load_study(write_study(small_study))


def events_of(study, stage, bases, values, statuses):
    """What a journal would hold after a stage: one row for each trial, with the values given."""
    settings = study.stages[stage]
    events = [{"kind": "stage_started", "stage": stage, "metric": settings.metric, "mode": settings.mode}]
    specs = stage_trials(study, stage, bases)
    for spec in specs:
        events.append(
            {
                "kind": "trial_created",
                "stage": stage,
                "dataset": spec.dataset,
                "trial": spec.trial,
                "cell": dict(spec.cell),
                "configuration": spec.configuration.as_dict(),
                "epochs": spec.epochs,
            }
        )
    for spec, value, status in zip(specs, values, statuses, strict=True):
        events.append({"kind": "row", "trial": spec.trial, "epoch": 1, settings.metric: value})
        events.append({"kind": "trial_ended", "trial": spec.trial, "status": status, "reason": None})
    for number, event in enumerate(events):
        event.update(seq=number, time=float(number))
    return events, specs


def architecture(study, values=None, statuses=None):
    num = 12
    return events_of(
        study,
        "architecture",
        {"digits": None},
        values or [0.1 + 0.01 * number for number in range(num)],
        statuses or ["completed"] * num,
    )


def test_first_sample_of_every_cell_starts_before_any_second(study):
    specs = stage_trials(study, "architecture", {"digits": None})
    assert len(specs) == 12
    assert len({spec.cell for spec in specs[:4]}) == 4
    assert len({spec.trial for spec in specs}) == 12


def test_same_study_gives_the_same_jobs(study):
    assert stage_trials(study, "architecture", {"digits": None}) == stage_trials(
        study, "architecture", {"digits": None}
    )


def test_cell_is_won_by_its_best_completed_trial(study):
    values = [0.5] * 12
    values[4:8] = [0.1, 0.2, 0.3, 0.4]
    values[8] = 0.01
    statuses = ["completed"] * 8 + ["stopped"] * 4
    events, specs = architecture(study, values, statuses)
    winners = cell_winners(RunState(events), "architecture")
    assert [winner.value for winner in winners.values()] == [0.1, 0.2, 0.3, 0.4]
    best = stage_winner(winners, "digits", "min")
    assert (best.trial, best.configuration) == (specs[4].trial, specs[4].configuration)


def test_cell_without_a_completed_trial_has_no_winner(study):
    statuses = ["diverged", "completed", "completed", "completed"] * 3
    events, specs = architecture(study, None, statuses)
    winners = cell_winners(RunState(events), "architecture")
    assert winners["digits", cell_key(dict(specs[0].cell))] is None
    assert sum(winner is None for winner in winners.values()) == 1


def test_greatest_value_wins_where_the_mode_is_max(study):
    events, _ = architecture(study)
    winners = cell_winners(RunState(events), "architecture")
    assert stage_winner(winners, "digits", "max").value == max(winner.value for winner in winners.values())


def test_configuration_that_wins_twice_is_retrained_once_per_seed(study):
    first, _jobs = architecture(study)
    base = stage_winner(cell_winners(RunState(first), "architecture"), "digits", "min").configuration
    num = len(stage_trials(study, "regularization", {"digits": base}))
    second, _ = events_of(study, "regularization", {"digits": base}, [0.1] + [0.2] * (num - 1), ["completed"] * num)
    owed = retrainings(study, RunState(first + second))
    assert [retraining.spec.seeds for retraining in owed] == [(3,), (4,)]
    assert [[winner.stage for winner in r.serves] for r in owed] == [["architecture", "regularization"]] * 2
    assert {retraining.spec.configuration for retraining in owed} == {base}
    assert {retraining.spec.epochs for retraining in owed} == {2}


@pytest.mark.parametrize(("what", "expected"), [("winner", 1), ("cells", 4), ("none", 0)])
def test_study_says_which_winners_are_retrained(small_study, write_study, what, expected):
    small_study["stages"]["architecture"]["retraining"] = {"of": what}
    study = load_study(write_study(small_study))
    events, _ = architecture(study)
    assert len(chosen_winners(study, RunState(events), "architecture")) == expected


def test_status_counts_trials_by_state(study):
    events, _ = architecture(study, None, ["completed", "stopped", "diverged", "failed"] * 3)
    del events[-1]
    (stage,) = run_status(RunState(events))["stages"]
    assert stage["trials"] == {"completed": 3, "diverged": 3, "failed": 2, "stopped": 3, "unfinished": 1}
    assert stage["epochs_trained"] == 12
    assert len(run_status(RunState(events))["failures"]) == 5


def test_status_is_open_once_something_follows_the_runs_end(study):
    events, _ = architecture(study)
    end = {"kind": "run_ended", "status": "completed", "time": 99.0}
    start = {"kind": "run_started", "study": {"name": "a study"}, "time": 0.0}
    assert run_status(RunState([]))["status"] == "empty"
    assert run_status(RunState([start, *events]))["status"] == "unfinished"
    assert run_status(RunState([start, *events, end]))["status"] == "completed"
    assert run_status(RunState([start, *events, end, events[-2]]))["status"] == "open"
    assert run_status(RunState([start, *events, end, events[-2], {**end, "status": "failed"}]))["status"] == "failed"


def test_cell_key_is_the_same_for_lists_and_tuples():
    configuration = Configuration(hidden_layers=(8, 4), latent_dim=2)
    assert cell_key({"hidden_layers": [8, 4]}) == cell_key({"hidden_layers": configuration.hidden_layers})


def test_cell_of_a_packages_settings_is_a_key_however_deep_its_lists_are():
    configuration = Configuration((), 2, family="lab_one", options=(("depth", 1), ("widths", (8, 4))))
    (recorded,) = json.loads(json.dumps([{"options": configuration.options}]))
    assert cell_key(recorded) == (("options", configuration.options),)
    assert {cell_key(recorded): 1}[cell_key({"options": configuration.options})] == 1

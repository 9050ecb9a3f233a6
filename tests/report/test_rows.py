"""Rows against what the events say when they are read with plain loops."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from aesweep.report.rows.reader import read_run
from aesweep.report.rows.types import Run
from aesweep.report.sections.registry import section_of
from aesweep.search.winners import cell_winners
from aesweep.storage.run_state import RunState

Events = list[dict[str, Any]]


def test_every_row_of_the_journal_is_an_epoch_of_its_trial(run: Run, events: Events) -> None:
    counts = Counter(event["trial"] for event in events if event["kind"] == "row")
    trials = [trial for stage in run.stages.values() for trial in stage.trials]
    trials += [retraining.trial for retraining in run.retrainings]
    assert {trial.name: len(trial.epochs) for trial in trials if trial.epochs} == dict(counts)


def test_a_trials_last_epoch_is_its_last_row(run: Run, events: Events) -> None:
    last = {event["trial"]: event for event in events if event["kind"] == "row"}
    for trial in run.stages["architecture"].trials:
        assert trial.value("validation_mse") == last[trial.name]["validation_mse"]


def test_statuses_are_those_recorded(run: Run, events: Events) -> None:
    recorded = {event["trial"]: event["status"] for event in events if event["kind"] == "trial_ended"}
    assert {t.name: t.status for s in run.stages.values() for t in s.trials} == {
        name: status for name, status in recorded.items() if not name.startswith("retraining")
    }


@pytest.mark.parametrize("stage", ["architecture", "regularization", "denoising"])
def test_the_winners_are_those_that_the_run_itself_would_choose(run: Run, events: Events, stage: str) -> None:
    expected = cell_winners(RunState(events), stage)
    found = run.stages[stage].winners
    assert {key: winner and winner.name for key, winner in found.items()} == {
        key: winner and winner.trial for key, winner in expected.items()
    }
    assert sum(winner is None for winner in found.values()) == (stage == "architecture")


def test_kinds_follow_from_the_tables_rows(run: Run) -> None:
    assert {name: type(section_of(stage)).__name__ for name, stage in run.stages.items()} == {
        "architecture": "Architecture",
        "regularization": "Regularization",
        "denoising": "Denoising",
    }


def test_baselines_see_what_their_configuration_sees(run: Run, events: Events) -> None:
    recorded = {
        (e["dataset"], e["split"], e["stage"], e["method"], e["latent_dim"], e["noise_variance"]): e
        for e in events
        if e["kind"] == "baseline"
    }
    trial = run.stages["architecture"].trials[0]
    pca = run.baseline("mnist", "architecture", "pca", "mse", trial.configuration)
    assert pca == recorded["mnist", "validation", "architecture", "pca", trial.configuration.latent_dim, None]["mse"]
    assert run.baseline("mnist", "architecture", "linear_mmse", "psnr_db", trial.configuration) is None
    denoiser = run.stages["denoising"].trials[0]
    linear = run.baseline("mnist", None, "linear_mmse", "ssim", denoiser.configuration)
    assert linear == recorded["mnist", "test", None, "linear_mmse", None, 0.04]["ssim"]
    assert run.baseline("mnist", None, "pca", "mse", denoiser.configuration) is None


def test_a_run_cut_anywhere_is_read(events: Events) -> None:
    for end in range(0, len(events), 97):
        run = read_run(RunState(events[:end]))
        assert run.status == ("unfinished" if end else "empty")


def test_the_time_of_all_retrainings_is_counted(run: Run, events: Events) -> None:
    again = {"seq": len(events), "time": 0.0, "kind": "stage_ended", "stage": "retraining", "seconds": 7.0}
    assert read_run(RunState([*events, again])).retraining_seconds == run.retraining_seconds + 7.0
    assert read_run(RunState(events[:1])).retraining_seconds is None


def test_a_run_is_open_once_something_follows_its_end(events: Events) -> None:
    assert events[-1]["kind"] == "run_ended"
    assert read_run(RunState([*events, {**events[-2], "seq": len(events)}])).status == "open"
    assert read_run(RunState([*events, {**events[-2], "seq": len(events)}, events[-1]])).status == "completed"


def test_a_row_recorded_twice_counts_once(events: Events) -> None:
    first = next(event for event in events if event["kind"] == "row")
    position = events.index(first)
    run = read_run(RunState([*events[: position + 1], first, *events[position + 1 :]]))
    trial = next(t for t in run.stages["architecture"].trials if t.name == first["trial"])
    assert [epoch.epoch for epoch in trial.epochs] == list(range(1, len(trial.epochs) + 1))

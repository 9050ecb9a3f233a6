"""Progress: what a terminal and a log file see of the journal's events."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from aesweep.run.callbacks import progress
from aesweep.run.callbacks.progress import Progress
from aesweep.storage.event_reader import parse_event

STAGE = {
    "kind": "stage_started",
    "stage": "architecture",
    "num_trials": 2,
    "num_cells": 1,
    "epochs": 3,
    "metric": "validation_mse",
    "mode": "min",
}


def events():
    yield STAGE
    for name in ("a", "b"):
        yield {"kind": "trial_created", "trial": name, "dataset": "digits", "cell": {"latent_dim": 4}, "epochs": 3}
    for epoch in (1, 2, 3):
        yield {"kind": "row", "trial": "a", "epoch": epoch, "validation_mse": 0.5 / epoch, "seconds": 2.0}
    yield {"kind": "row", "trial": "b", "epoch": 1, "validation_mse": None, "seconds": 2.0}
    yield {"kind": "trial_ended", "trial": "a", "status": "completed", "epochs": 3}
    yield {"kind": "trial_ended", "trial": "b", "status": "diverged", "epochs": 1}


def follow(monkeypatch, *, terminal: bool, quiet: bool = False) -> str:
    monkeypatch.setattr(progress, "LINE_INTERVAL_S", 0.0)
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100)
    with Progress(console, quiet) as shown:
        for event in events():
            shown.follow(parse_event(event))
        shown.follow(parse_event({"kind": "stage_ended", "stage": "architecture", "seconds": 7.2}))
        shown.follow(
            parse_event({"kind": "stage_ended", "stage": "retraining", "seconds": 0.1})
        )  # nothing was to be retrained
    return file.getvalue()


def test_log_file_gets_plain_lines_with_counts(monkeypatch):
    lines = follow(monkeypatch, terminal=False).splitlines()
    assert lines[0] == "stage architecture: 2 trials in 1 cell, up to 3 epochs"
    assert any("1 of 2 trials ended (1 completed), 1 running" in line for line in lines)
    assert lines[-1] == "stage architecture: done in 7 s (1 completed, 1 diverged)"
    assert not any("\x1b" in line for line in lines)


def test_log_file_gets_no_more_than_a_line_every_few_seconds(monkeypatch):
    file = io.StringIO()
    with Progress(Console(file=file, force_terminal=False, width=100)) as shown:
        for event in events():
            shown.follow(parse_event(event))
    assert len(file.getvalue().splitlines()) <= 2


def test_terminal_gets_a_table_of_cells_with_their_best(monkeypatch):
    text = follow(monkeypatch, terminal=True)
    assert "latent_dim 4" in text
    assert "0.16667" in text


def test_best_of_a_cell_is_no_trial_that_goes_on_out_of_competition():
    shown = Progress(Console(file=io.StringIO()), quiet=True)
    first = [*events()][:4]
    stopped = {"kind": "decision", "trial": "b", "epoch": 1, "action": "audit", "value": 0.6}
    rows = [{"kind": "row", "trial": "b", "epoch": epoch, "validation_mse": 0.6**epoch} for epoch in (1, 2, 3)]
    for event in (*first, rows[0], stopped, *rows[1:]):
        shown.follow(parse_event(event))
    assert shown._rows() == [("digits", "latent_dim 4", "2", "0/2", "0.5")]
    assert shown._epochs_done == 4


def test_no_color_is_honoured_on_a_terminal(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    colors = [f"\x1b[{code}m" for code in (*range(30, 38), *range(90, 98))]
    assert not any(color in follow(monkeypatch, terminal=True) for color in colors)


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_says_nothing(monkeypatch, terminal):
    assert follow(monkeypatch, terminal=terminal, quiet=True) == ""


def test_time_left_shrinks_when_trials_are_stopped_early(monkeypatch):
    shown = Progress(Console(file=io.StringIO()), quiet=True)
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    for event in list(events())[:7]:
        shown.follow(parse_event(event))
    assert shown._remaining_s() > 0
    shown.follow(parse_event({"kind": "trial_ended", "trial": "a", "status": "completed", "epochs": 3}))
    shown.follow(parse_event({"kind": "trial_ended", "trial": "b", "status": "stopped", "epochs": 1}))
    assert shown._remaining_s() == 0


def test_stage_that_goes_on_counts_what_is_recorded_and_its_pace_anew(monkeypatch):
    file = io.StringIO()
    shown = Progress(Console(file=file, force_terminal=False, width=100))
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    interrupted = {"kind": "trial_ended", "trial": "b", "status": "interrupted", "epochs": 1}
    shown.take_up([parse_event(event) for event in [*list(events())[:-1], interrupted]])
    assert file.getvalue() == "stage architecture goes on: 1 of 2 trials ended (1 completed), 0 running\n"
    shown.follow(
        parse_event({"kind": "continued", "trial": "b", "epoch": 0, "rejected": ["b.1.safetensors was passed over"]})
    )
    shown.follow(parse_event({"kind": "row", "trial": "b", "epoch": 2, "validation_mse": 0.1, "seconds": 2.0}))
    assert file.getvalue().splitlines()[1:3] == ["b.1.safetensors was passed over", "b goes on after epoch 0"]
    # One epoch of 10 s or so since then, and one is left.
    assert "1 running, at most" in file.getvalue().splitlines()[-1]


def test_time_left_leaves_the_workers_start_out_until_a_trial_has_ended(monkeypatch):
    shown = Progress(Console(file=io.StringIO()), quiet=True)
    clock = iter([0.0, 0.0, *[100.0] * 50])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    first, *created, row = list(events())[:4]
    for event in (first, *created, row):
        shown.follow(parse_event(event))
    # One of 6 epochs is done: 5 are left, of 2 s each, although the first came 100 s after the stage began.
    assert shown._remaining_s() == pytest.approx(10.0)


def lines_of(monkeypatch, followed, recalled=()) -> list[str]:
    monkeypatch.setattr(progress, "LINE_INTERVAL_S", 0.0)
    file = io.StringIO()
    with Progress(Console(file=file, force_terminal=False, width=200)) as shown:
        shown.take_up([parse_event(event) for event in recalled])
        for event in followed:
            shown.follow(parse_event(event))
    return file.getvalue().splitlines()


def test_what_had_ended_before_an_extension_is_still_counted(monkeypatch):
    extension = {**STAGE, "kind": "stage_extended", "num_trials": 3, "extension": 9}
    created = {"kind": "trial_created", "trial": "c", "dataset": "digits", "cell": {"latent_dim": 4}, "epochs": 3}
    row = {"kind": "row", "trial": "c", "epoch": 1, "validation_mse": 0.5, "seconds": 2.0}
    lines = lines_of(monkeypatch, [extension, created, row], events())
    assert lines[-1].startswith("stage architecture: 2 of 3 trials ended (1 completed, 1 diverged), 1 running")


def test_no_more_trials_end_than_there_are(monkeypatch):
    lost = {"kind": "checkpoint_lost", "trial": "a", "reason": "a.safetensors cannot be read"}
    again = {"kind": "trial_ended", "trial": "a", "status": "completed", "epochs": 3}
    lines = lines_of(monkeypatch, [*events(), lost, again])
    assert lines[-1].startswith("stage architecture: 2 of 2 trials ended (1 completed, 1 diverged), 0 running")
    interrupted = {"kind": "trial_ended", "trial": "b", "status": "interrupted", "epochs": 1}
    lines = lines_of(monkeypatch, [*events(), interrupted, again])
    assert "2 of 2 trials ended (1 completed, 1 interrupted)" in lines[-1]

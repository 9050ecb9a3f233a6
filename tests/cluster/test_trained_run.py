"""Whole runs whose trials are trained by trainers, on CPU cores."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from aesweep.storage.journal import read_journal
from tests.conftest import DENOISING_STAGE, SMALL_STUDY
from tests.run.test_run import aesweep, of

# `make test` has a run with trainers in tests/run/test_learning_run.py, and a trainer's promises in test_trainer.py.
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

# Nothing is stopped, so that the order in which trials report decides nothing.
STAGES = {
    "architecture": {**SMALL_STUDY["stages"]["architecture"], "samples": 2, "asha": {"grace_period": 9}},
    "denoising": DENOISING_STAGE,
}
TRAINERS = {"trainers": 2, "gpus_per_trainer": 0, "trials_per_trainer": 2}
COMMON = ("--workers", "2", "--save-every", "0", "--quiet")


def study(folder: Path, name: str, **values) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**SMALL_STUDY, "name": name, **values}))
    return path


def results(events) -> list[str]:
    """All that was trained and chosen, without times and failures."""
    kinds = ("row", "trial_ended", "cell_winner", "stage_winner", "retrained", "pictures")
    left_out = ("seq", "time", "seconds", "crc")
    return sorted(
        json.dumps({field: event[field] for field in event if field not in left_out})
        for event in events
        if event["kind"] in kinds
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> list[str]:
    """The results of trials that train in processes of their own."""
    folder = tmp_path_factory.mktemp("alone")
    aesweep("run", study(folder, "alone", stages=STAGES), "--runs", folder, *COMMON)
    return results(read_journal(folder / "alone" / "journal.jsonl"))


def test_trainers_give_the_rows_winners_and_checkpoints_of_trials_that_train_themselves(tmp_path, alone):
    aesweep("run", study(tmp_path, "trained", stages=STAGES, resources=TRAINERS), "--runs", tmp_path, *COMMON)
    events = read_journal(tmp_path / "trained" / "journal.jsonl")
    assert results(events) == alone
    assert of(events, "run_ended", status="completed") and not of(events, "failure")
    assert not (tmp_path / "trained" / "states").exists()


def trainers_of(driver: int) -> list[int]:
    """The processes of a driver's trainers: those below it that Ray has named so."""
    parents, trainers = {}, []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            number = int(path.name)
            parents[number] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if (path / "cmdline").read_bytes().startswith(b"ray::Trainer"):
                trainers.append(number)
        except OSError:
            continue

    def is_below(number: int) -> bool:
        return number == driver or (number in parents and is_below(parents[number]))

    return [number for number in trainers if is_below(number)]


def test_killed_trainer_is_a_recorded_failure_of_its_trials_and_changes_no_result(tmp_path, alone):
    path = study(tmp_path, "killed", stages=STAGES, resources=TRAINERS)
    command = [sys.executable, "-m", "aesweep.cli", "run", path, "--runs", tmp_path, *COMMON]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    journal = tmp_path / "killed" / "journal.jsonl"
    deadline = time.monotonic() + 200
    while not (journal.exists() and len(of(read_journal(journal), "row")) > 8):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.05)
    killed = trainers_of(process.pid)
    assert len(killed) == 2
    os.kill(killed[0], signal.SIGKILL)
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said.decode()
    events = read_journal(journal)
    assert results(events) == alone
    failures = of(events, "failure")
    assert failures and all(event["cause"] == "crashed" and event["retried"] for event in failures)


def test_trainers_stop_trials_early_and_are_refused_where_there_is_no_room(tmp_path):
    path = study(tmp_path, "small", resources={"trainers": 1, "gpus_per_trainer": 0})
    aesweep("run", path, "--runs", tmp_path, "--set", "resources.trials_per_trainer=3", "--workers", "2", "--quiet")
    events = read_journal(tmp_path / "small" / "journal.jsonl")
    stopped = of(events, "trial_ended", status="stopped")
    assert stopped and of(events, "run_ended", status="completed")
    for end in stopped:
        assert len(of(events, "row", trial=end["trial"])) == end["epochs"] < 9
    for change, said in (
        ("resources.trainers=9", "9 hold 9 CPUs, but there are 2 here"),
        ("resources.gpus_per_trainer=1", "gpus_per_trainer: 1 asked for, but no node has more than 0"),
    ):
        refused = aesweep("run", path, "--runs", tmp_path / "no", "--set", change, "--workers", "2", check=1)
        assert said in refused.stderr
        shutil.rmtree(tmp_path / "no")


def test_interrupted_run_with_trainers_ends_with_everything_recorded_and_goes_on(tmp_path):
    stages = {"architecture": {**SMALL_STUDY["stages"]["architecture"], "samples": 1, "epochs": 2000}}
    stages["architecture"]["asha"] = {"grace_period": 2000}
    path = study(tmp_path, "cut", stages=stages, resources={**TRAINERS, "trainers": 1})
    command = [sys.executable, "-m", "aesweep.cli", "run", path, "--runs", tmp_path, *COMMON]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    journal = tmp_path / "cut" / "journal.jsonl"
    deadline = time.monotonic() + 200
    while not (journal.exists() and len(of(read_journal(journal), "row")) > 8):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=100)
    assert process.returncode == 130
    before = read_journal(journal)
    assert before[-1]["kind"] == "run_ended" and before[-1]["status"] == "interrupted"
    assert {end["status"] for end in of(before, "trial_ended")} == {"interrupted"}
    process = subprocess.Popen([sys.executable, "-m", "aesweep.cli", "resume", tmp_path / "cut", *COMMON])
    while not of(read_journal(journal)[len(before) :], "continued"):
        assert process.poll() is None and time.monotonic() < deadline + 200
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(100) == 143
    found = [event for event in read_journal(journal) if event["kind"] == "row"]
    for trial in {row["trial"] for row in found}:
        epochs = [row["epoch"] for row in found if row["trial"] == trial]
        assert epochs == list(range(1, len(epochs) + 1))

"""Real runs under Ray whose driver is killed at a random moment: resumed, they come to what they would have come to."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from aesweep.storage.journal import read_journal
from aesweep.storage.run_folder import state_files
from tests.conftest import DENOISING_STAGE, SMALL_STUDY

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

STUDY = {
    **SMALL_STUDY,
    "stages": {
        "architecture": {**SMALL_STUDY["stages"]["architecture"], "samples": 2},
        "denoising": DENOISING_STAGE,
    },
    "retraining": {"epochs": 40, "seeds": 2},
}
COMMON = ("--workers", "1", "--save-every", "0", "--quiet")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "aesweep.cli", *map(str, arguments)]


def start_run(folder: Path, *arguments: str) -> list[str]:
    if not (folder / "study.yaml").exists():
        (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    return command("run", folder / "study.yaml", "--runs", folder / "runs", *COMMON, *arguments)


def ended_well(*arguments: object) -> subprocess.CompletedProcess:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return done


def resume(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return ended_well("resume", folder / "runs" / "small", *COMMON, *arguments)


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    done = subprocess.run(start_run(folder), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "small"


@pytest.fixture(scope="module")
def whole(whole_folder) -> list[dict]:
    """Its journal."""
    return read_journal(whole_folder / "journal.jsonl")


def killed(folder: Path, enough, seed: int, after_s: float = 1.0, arguments: tuple[str, ...] = ()) -> list[dict]:
    """The journal of a run whose driver is killed at a random moment after its journal is enough."""
    journal = folder / "runs" / "small" / "journal.jsonl"
    process = subprocess.Popen(start_run(folder, *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    while not (journal.exists() and enough(read_journal(journal))):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0, after_s))
    left_behind = descendants(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stderr.close()
    end(left_behind)
    return read_journal(journal)


def stat(pid: int) -> list[str] | None:
    """Parent and start of a process, by which it is known even if its number is given to another."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else [fields[1], fields[19]]


def descendants(pid: int) -> dict[int, str]:
    """The processes that a process started, by number, with the time of their start."""
    known = {int(path.name): stat(int(path.name)) for path in Path("/proc").glob("[0-9]*")}
    found: dict[int, str] = {}
    ring = {pid}
    while ring:
        ring = {child for child, fields in known.items() if fields and int(fields[0]) in ring} - found.keys()
        found |= {child: known[child][1] for child in ring}
    return found


def end(processes: dict[int, str]) -> None:
    """Ends what is left of a killed driver's processes, those and no other."""
    time.sleep(1)
    for pid, started in processes.items():
        fields = stat(pid)
        if fields and fields[1] == started:
            os.kill(pid, signal.SIGKILL)


def of(events, kind, **fields):
    return [e for e in events if e["kind"] == kind and all(e[name] == value for name, value in fields.items())]


def rows(events) -> dict:
    """(trial, epoch) to all that was measured; no epoch may stand twice."""
    found = {}
    for event in of(events, "row"):
        key = (event["trial"], event["epoch"])
        assert key not in found, f"recorded twice: {key}"
        found[key] = {name: event[name] for name in event if name not in ("time", "seq", "seconds")}
    return found


def winners(events) -> list[dict]:
    found = [e for kind in ("cell_winner", "stage_winner", "retrained", "pictures") for e in of(events, kind)]
    return [{name: event[name] for name in event if name not in ("time", "seq", "seconds")} for event in found]


def decisions(events) -> list[tuple]:
    return [
        (e["trial"], e["epoch"], e["action"], e["value"], e["cutoff"], e["num_compared"])
        for e in of(events, "decision")
    ]


def assert_same(events, whole):
    assert rows(events) == rows(whole)
    assert decisions(events) == decisions(whole)
    assert winners(events) == winners(whole)
    ends = {e["trial"]: (e["status"], e["epochs"]) for e in of(events, "trial_ended")}
    assert ends == {e["trial"]: (e["status"], e["epochs"]) for e in of(whole, "trial_ended")}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_run_killed_in_the_search_comes_to_the_same_end(tmp_path, whole_folder, whole, seed):
    num_rows = random.Random(f"rows {seed}").randrange(3, 25)
    before = killed(tmp_path, lambda events: len(of(events, "row")) >= num_rows, seed)
    assert not of(before, "run_ended")
    said = resume(tmp_path).stderr
    assert "its lock is taken over" in said
    folder = tmp_path / "runs" / "small"
    assert_same(read_journal(folder / "journal.jsonl"), whole)
    assert not (folder / "states").exists()
    # All of the report but what the search cost, and when.
    reports = [(path / "report.md").read_text().partition("## What the search cost") for path in (folder, whole_folder)]
    assert reports[0][0] == reports[1][0] and reports[0][2]
    for part in ("figures", "pictures", "checkpoints"):
        files = sorted(path.relative_to(whole_folder) for path in (whole_folder / part).rglob("*") if path.is_file())
        assert files
        assert [(folder / file).read_bytes() for file in files] == [(whole_folder / f).read_bytes() for f in files]


@pytest.mark.slow  # tests/search/test_replay.py kills a toy there, tests/training/test_state_file.py damages states
def test_run_killed_in_the_retraining_goes_on_by_seed_and_from_the_newest_whole_state(tmp_path, whole):
    def enough(events):
        return (
            of(events, "retrained")
            and len(of(events, "row")) > of(events, "retrained")[0]["epochs"]
            and any(e["epoch"] > 5 for e in of(events, "row") if e["seq"] > of(events, "retrained")[0]["seq"])
        )

    before = killed(tmp_path, enough, seed=3, after_s=0.1)
    trial = of(before, "row")[-1]["trial"]
    states = state_files(tmp_path / "runs" / "small" / "states", trial)
    if states:
        states[0][1].write_bytes(states[0][1].read_bytes()[:-10])
    resume(tmp_path)
    events = read_journal(tmp_path / "runs" / "small" / "journal.jsonl")
    assert_same(events, whole)
    # The kill may have fallen between two trainings, when there is no state to go on from.
    for event in of(events, "continued", trial=trial) if states else ():
        assert event["epoch"] == (states[1][0] if len(states) > 1 else 0)
        assert states[0][1].name in event["rejected"][0]
    first = of(before, "retrained")[0]["trial"]
    again = {e["trial"] for e in of(events[len(before) :], "row")}
    assert first not in again


@pytest.mark.slow  # tests/process/test_signals.py interrupts runs and resumes them
def test_interrupted_run_says_how_to_go_on_and_comes_to_the_same_end(tmp_path, whole):
    journal = tmp_path / "runs" / "small" / "journal.jsonl"
    process = subprocess.Popen(start_run(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (journal.exists() and len(of(read_journal(journal), "row")) > 12):
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert f"aesweep resume {tmp_path / 'runs' / 'small'}" in said
    done = command("resume", tmp_path / "runs" / "small", *COMMON, "--json")
    done = subprocess.run(done, capture_output=True, text=True, timeout=400)
    assert json.loads(done.stdout)["status"] == "completed", done.stderr
    assert_same(read_journal(journal), whole)


@pytest.mark.slow  # tests/storage/test_storage.py goes on elsewhere, with events alone
def test_run_whose_machine_is_lost_goes_on_from_its_bucket(tmp_path, whole, bucket):
    where = ("--storage", f"{bucket}/runs")
    killed(tmp_path, lambda events: len(of(events, "row")) >= 15, seed=4, arguments=where)
    shutil.rmtree(tmp_path / "runs")
    ended_well("fetch", "small", "--from", f"{bucket}/runs", "--runs", tmp_path / "runs")
    journal = tmp_path / "runs" / "small" / "journal.jsonl"
    assert len(of(read_journal(journal), "trial_created")) > 0
    resume(tmp_path, *where)
    assert_same(read_journal(journal), whole)
    # What the bucket has in the end is a finished run too.
    ended_well("fetch", "small", "--from", f"{bucket}/runs", "--runs", tmp_path / "home")
    assert (tmp_path / "home" / "small" / "journal.jsonl").read_bytes() == journal.read_bytes()
    assert (tmp_path / "home" / "small" / "report.md").is_file()


@pytest.mark.slow  # tests/search/test_stages.py extends a toy, and kills that
def test_finished_run_is_extended_and_its_winners_are_retrained_otherwise(tmp_path, whole_folder, whole):
    folder = tmp_path / "small"
    shutil.copytree(whole_folder, folder)
    ended_well("extend", folder, "--samples", "2", "--stage", "architecture", *COMMON)
    ended_well("retrain", folder, "--epochs", "3", "--seeds", "1", *COMMON)
    events = read_journal(folder / "journal.jsonl")
    assert events[: len(whole)] == whole
    added = events[len(whole) :]
    old, new = ({e["trial"] for e in of(part, "trial_created")} for part in (whole, added))
    cells = {json.dumps(e["cell"]) for e in of(whole, "trial_created", stage="architecture")}
    assert len(new) == 2 * len(cells) and not old & new
    assert {e["trial"] for e in of(added, "row")} >= new
    assert {e["trial"] for e in of(added, "trial_ended")} >= new
    best = of(events, "stage_winner", stage="architecture")
    assert best[-1]["value"] <= best[0]["value"]
    short = [e for e in of(added, "retraining_created") if e["epochs"] == 3]
    assert short and {e["trial"] for e in short} <= {e["trial"] for e in of(added, "retrained")}
    assert events[-1]["kind"] == "run_ended" and events[-1]["status"] == "completed"

"""Signals: the end of a process that has recorded nothing, a question in work that is recorded, and asked twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from aesweep.cluster.tune.processes import kill_processes, started_processes
from aesweep.storage.journal import read_journal
from tests.conftest import SMALL_STUDY

HEAD = """
import os, signal, subprocess, sys, time
from aesweep.process.signals import SAME_REQUEST_S, Interruption
def send(number): os.kill(os.getpid(), number)
def say(text): os.write(1, text.encode())
"""


def python(code: str, **how) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", HEAD + code], capture_output=True, text=True, timeout=60, **how)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_before_anything_is_recorded_ends_the_process_and_clears_up(number):
    code = f"""
with Interruption():
    try:
        send({int(number)})
        say('went on ')
    finally:
        send({int(number)})  # a second one does not keep it from that
        say('cleared up')
"""
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "cleared up", "")


def test_process_ends_also_where_the_code_that_is_left_passes_over_the_exit():
    code = """
with Interruption():
    while True:
        try:
            send(signal.SIGTERM)
            time.sleep(600)
        except BaseException:
            pass
"""
    assert python(code).returncode == 143


def test_signal_in_work_that_is_recorded_is_a_question_and_its_echo_the_same_one():
    code = """
with Interruption() as interruption:
    interruption.defer()
    assert not interruption.requested()
    send(signal.SIGTERM)
    send(signal.SIGINT)
    say(f'{interruption.requested()} {interruption.signal_number}')
"""
    done = python(code)
    assert (done.returncode, done.stdout) == (0, "True 15")


def test_who_asks_twice_gets_the_end_at_once_with_all_last_steps_and_one_line():
    code = """
interruption = Interruption()
with interruption, interruption.last_step(lambda: say('one ')), interruption.last_step(lambda: 1 / 0):
    with interruption.last_step(lambda: say('gone ')):
        pass
    with interruption.last_step(lambda: say('two ')):
        interruption.defer()
        interruption.last_words = 'how to go on'
        send(signal.SIGINT)
        time.sleep(2 * SAME_REQUEST_S)
        send(signal.SIGTERM)
        say('went on')
"""
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "two one ", "how to go on\n")


def test_closed_terminal_is_ignored_where_that_was_asked_for():
    done = python(
        "with Interruption():\n    send(signal.SIGHUP)\n    say('went on')",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert (done.returncode, done.stdout) == (0, "went on")


def test_library_that_takes_the_signals_for_itself_gets_none_and_neither_do_its_processes():
    code = """
with Interruption() as interruption:
    interruption.defer()
    with interruption.held_back():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        send(signal.SIGTERM)
        child = subprocess.Popen(['sleep', '1'], preexec_fn=lambda: None)
        assert not interruption.requested()
    assert interruption.requested()
    assert os.getsid(child.pid) == child.pid
    os.killpg(child.pid, signal.SIGTERM)
    say(str(child.wait()))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
    other = subprocess.Popen(['sleep', '60'], preexec_fn=lambda: None)
    assert os.getsid(other.pid) == os.getsid(0)
    other.kill()
"""
    done = python(code)
    assert (done.returncode, done.stdout) == (0, "0"), done.stderr


def test_processes_of_processes_are_found_and_ended_and_nobody_elses():
    first = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    grandchild = int(first.stdout.readline())
    found = started_processes()
    assert {first.pid, grandchild} <= set(found) and os.getppid() not in found and os.getpid() not in found
    kill_processes({grandchild: "another beginning"})
    assert grandchild in started_processes()
    kill_processes({number: found[number] for number in (first.pid, grandchild)})
    assert first.wait() == -signal.SIGKILL
    while Path(f"/proc/{grandchild}/stat").exists() and ") Z " not in Path(f"/proc/{grandchild}/stat").read_text():
        time.sleep(0.05)


@pytest.fixture
def study(tmp_path) -> Path:
    stage = {**SMALL_STUDY["stages"]["architecture"], "samples": 1, "epochs": 2}
    values = {**SMALL_STUDY, "stages": {"architecture": stage}, "retraining": {"epochs": 1, "seeds": 1}}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def started(study: Path, *kinds: str, command: tuple[str, ...] = ()) -> tuple[subprocess.Popen, Path]:
    """A command that has recorded an event of the kinds since it began, and its run's folder."""
    root = study.parent / "runs" / "small"
    known = len(read_journal(root / "journal.jsonl")) if command else 0
    words = command or ("run", str(study), "--runs", str(root.parent))
    environment = {**os.environ, "AESWEEP_TEST_OF": str(study)}
    process = subprocess.Popen(
        [sys.executable, "-m", "aesweep.cli", *words],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
        **{"env": environment, "start_new_session": True},
    )
    journal = root / "journal.jsonl"
    while process.poll() is None:
        if journal.exists() and any(event["kind"] in kinds for event in read_journal(journal)[known:]):
            break
        time.sleep(0.02)
    return process, root


def left_behind(study: Path) -> dict[int, str]:
    """Processes that the study's commands started, or theirs, whatever has become of their parents."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"AESWEEP_TEST_OF={study}".encode() in (folder / "environ").read_bytes():
                found[int(folder.name)] = (folder / "cmdline").read_text()
        except OSError:
            continue
    return found


@pytest.mark.ray
@pytest.mark.parametrize(
    ("kind", "number"),
    [
        pytest.param("run_started", signal.SIGTERM, marks=pytest.mark.slow),
        ("row", signal.SIGHUP),
        pytest.param("retraining_created", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("retrained", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("run_ended", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_signal_from_the_first_line_to_the_last_byte_of_the_report_leaves_a_run_that_is_recorded(study, kind, number):
    process, root = started(study, kind)
    process.send_signal(number)
    told, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said and "***" not in said  # as Ray's dump begins
    (line,) = [line for line in said.splitlines() if "interrupted" in line and str(root) in line]
    assert ("aesweep report" if kind == "run_ended" else "aesweep resume") in line
    assert told == f"{root}/report.md\n" and (root / "report.md").is_file()
    events = read_journal(root / "journal.jsonl")
    assert events[-1]["kind"] == "run_ended"
    assert events[-1]["status"] == ("completed" if kind == "run_ended" else "interrupted")
    assert not (root / ".lock.holder").exists() and not (root / ".scratch").exists()
    assert left_behind(study) == {}


@pytest.mark.ray
@pytest.mark.slow  # what is interrupted goes on in the tests below, where its processes had the signal as well
def test_command_that_goes_on_is_interrupted_as_well_and_the_run_comes_to_its_end_all_the_same(study):
    process, root = started(study, "row")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    again, _ = started(study, "resumed", command=("resume", str(root)))
    again.send_signal(signal.SIGTERM)
    _, said = again.communicate(timeout=120)
    assert again.returncode == 143, said
    last = subprocess.run([sys.executable, "-m", "aesweep.cli", "resume", str(root)], capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    assert read_journal(root / "journal.jsonl")[-1]["status"] == "completed"


@pytest.mark.ray
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("row", marks=pytest.mark.slow),
        pytest.param("run_started", marks=pytest.mark.flows),
        "retraining_created",
    ],
)
def test_signal_to_every_process_at_once_is_an_interruption_as_well(study, kind):
    """As systemd and Slurm send it, to Ray's processes and to its workers as well."""
    process, root = started(study, kind)
    scratch = root / ".scratch"
    folder = Path(scratch.read_text()) if scratch.exists() else None
    for number in left_behind(study):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)
    _, said = process.communicate(timeout=250)
    assert process.returncode == 143, said
    assert "Traceback" not in said and "***" not in said and f"aesweep resume {root}" in said, said
    events = read_journal(root / "journal.jsonl")
    assert (events[-1]["kind"], events[-1]["status"]) == ("run_ended", "interrupted")
    assert [event for event in events if event["kind"] == "failure"] == []
    assert left_behind(study) == {}
    assert not scratch.exists() and not (folder and folder.exists())
    done = subprocess.run([sys.executable, "-m", "aesweep.cli", "resume", str(root), "--json"], capture_output=True)
    assert done.returncode == 0 and json.loads(done.stdout)["status"] == "completed"


@pytest.mark.ray
@pytest.mark.parametrize("times", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_terminals_signals_sent_again_leave_nothing_outside_the_run(study, times):
    process, root = started(study, "row")
    scratch = Path((root / ".scratch").read_text())
    assert scratch.is_dir()
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.3)
        if process.poll() is not None:
            break
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said and said.count("interrupted") == 1 and f"aesweep resume {root}" in said
    assert not scratch.exists() and not (root / ".lock.holder").exists()
    assert left_behind(study) == {}
    done = subprocess.run([sys.executable, "-m", "aesweep.cli", "resume", str(root), "--json"], capture_output=True)
    assert done.returncode == 0 and json.loads(done.stdout)["status"] == "completed"


def test_signal_before_the_first_line_leaves_no_folder(study):
    process = subprocess.Popen(
        [sys.executable, "-m", "aesweep.cli", "run", str(study), "--runs", str(study.parent / "runs")],
        stderr=subprocess.PIPE,
    )
    # The command takes signals before it imports what takes time, of which this is a part.
    while b"/yaml/" not in Path(f"/proc/{process.pid}/maps").read_bytes() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, b"")
    assert not (study.parent / "runs" / "small").exists()

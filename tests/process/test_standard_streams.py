"""Stdout holds what a command tells and nothing else, and streams that are closed or full cost no run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

import aesweep
from aesweep.storage.journal import Journal, read_journal
from tests.conftest import SMALL_STUDY

CHATTY = """
import atexit, ctypes, os, subprocess, sys
from aesweep.process.standard_streams import take_streams
take_streams()
import click
libc = ctypes.CDLL(None)
atexit.register(print, "printed at the end")
print("printed")
sys.__stdout__.write("written\\n")
sys.stdout.write("\\x1b[33mcoloured\\x1b[0m\\n")
os.write(1, b"of the system\\n")
libc.puts(b"of C")
subprocess.run(["echo", "of a process"])
click.echo("told")
print("printed later")
libc.puts(b"of C, never flushed")
"""


def test_what_libraries_print_goes_to_stderr():
    done = subprocess.run([sys.executable, "-c", CHATTY], capture_output=True, text=True, timeout=60)
    assert done.stdout == "told\n"
    said = ["printed", "written", "coloured", "of the system", "of C", "of a process", "printed later"]
    assert sorted(done.stderr.splitlines()) == sorted([*said, "of C, never flushed", "printed at the end"])


@pytest.fixture
def run(tmp_path) -> Path:
    """A folder with a run in which little was recorded."""
    (tmp_path / "run").mkdir()
    study = {"name": "café", "stages": {}, "datasets": [], "report": {}}
    with Journal(tmp_path / "run" / "journal.jsonl") as journal:
        journal.append("run_started", study=study)
    return tmp_path / "run"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess:
    line = line.replace("aesweep", f"'{sys.executable}' -m aesweep.cli")
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("aesweep status {run}", 0),
        ("aesweep status {run} >&-", 0),
        ("aesweep status {run} 2>&-", 0),
        ("aesweep status {run} <&- >&- 2>&-", 0),
        ("aesweep status {run} 2>/dev/full", 0),
        ("aesweep status {run} >/dev/full", 1),
        ("aesweep --help >/dev/full", 1),
        ("aesweep status {run} >/dev/full 2>&1", 1),
        ("aesweep status {run} --json | head -1; exit ${{PIPESTATUS[0]}}", 0),
        ("aesweep status {run} --json | true; exit ${{PIPESTATUS[0]}}", 0),
        ("aesweep status nowhere 2>/dev/full", 73),
        ("aesweep status nowhere 2>&-", 73),
        ("aesweep status nowhere >&- 2>&-", 73),
    ],
)
def test_streams_that_are_closed_or_full_end_in_no_traceback(run, line, status):
    done = shell(line.format(run=run))
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    expected = ["error: standard output: No space left on device; the rest of the output is lost"]
    assert done.stderr.splitlines() == (expected if status == 1 and "2>&1" not in line else [])


def test_what_is_opened_is_not_taken_for_a_closed_stream(tmp_path):
    code = """
from aesweep.process.standard_streams import take_streams
take_streams()
import os
print(open('kept', 'w').fileno(), file=open('number', 'w'))
print("printed"); os.write(1, b"x"); os.write(2, b"x")
"""
    subprocess.run(["bash", "-c", f"'{sys.executable}' -c \"$0\" <&- >&- 2>&-", code], cwd=tmp_path, check=True)
    assert int((tmp_path / "number").read_text()) > 2 and (tmp_path / "kept").read_text() == ""


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ],
    ids=str,
)
def test_no_locale_keeps_a_command_from_telling_a_name(run, environment):
    named = run.rename(run.with_name("naïve ☃"))
    done = shell(f"aesweep status '{named}' --json", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["study"] == "café"
    assert shell(f"aesweep status '{named}' | cat", **environment).stderr == ""


BREAKING = """
import os, sys

class Breaking:
    def find_spec(self, name, path=None, target=None):
        if name == "aesweep.training.single_trial":
            print("printed by a worker", flush=True)
            os.write(1, b"written by a worker\\n")
            {end}

sys.meta_path.insert(0, Breaking())
"""


@pytest.mark.ray
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("raise RuntimeError('broken in the worker')", "broken in the worker"),
        pytest.param("os._exit(7)", "died", marks=pytest.mark.flows),
    ],
)
def test_trials_that_die_before_their_first_row_put_nothing_on_stdout(tmp_path, end, reason):
    """Ray Tune tells of such a trial by itself. What breaks is in an environment of this test's own."""
    venv.create(tmp_path / "environment", symlinks=True)
    (packages,) = (tmp_path / "environment" / "lib").glob("python*/site-packages")
    searched = [str(Path(aesweep.__file__).parent.parent), *(path for path in sys.path if "site-packages" in path)]
    (packages / "shared.pth").write_text("\n".join(searched))
    (packages / "sitecustomize.py").write_text(BREAKING.format(end=end))
    space = {**SMALL_STUDY["stages"]["architecture"]["space"], "hidden_layers": [16]}
    stage = {"space": space, "table": {"rows": "latent_dim"}, "epochs": 1}
    study = {**SMALL_STUDY, "stages": {"architecture": stage}, "retraining": {"epochs": 1, "seeds": 1}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    command = [tmp_path / "environment" / "bin" / "python", "-m", "aesweep.cli", "run", "study.yaml", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    told = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1 and "\x1b" not in done.stderr
    events = read_journal(tmp_path / "runs" / "small" / "journal.jsonl")
    failures = [event for event in events if event["kind"] == "failure"]
    assert failures and all(reason in event["reason"] for event in failures)
    ends = {event["trial"] for event in events if event["kind"] == "trial_ended"}
    assert {text.split(":")[0] for text in told["failed_trials"]} == ends and len(ends) == 2
    assert not [event for event in events if event["kind"] == "row"]

"""Stdout holds what a command tells and nothing else, and streams that are closed or full cost no run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aesweep.journal import Journal

CHATTY = """
import atexit, ctypes, os, subprocess, sys
from aesweep.standard_streams import take_streams
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
    line = line.replace("aesweep", f"'{sys.executable}' -m aesweep")
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
from aesweep.standard_streams import take_streams
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

"""A run by an interpreter whose path holds what a shell would take apart."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

import aesweep
from aesweep.cluster.runner import _quoted_interpreter
from aesweep.storage.journal import read_journal
from tests.conftest import SMALL_STUDY


def test_interpreter_is_one_word_to_the_shell_by_which_ray_starts_workers(monkeypatch):
    path = "/it's my path; really/bin/python"
    monkeypatch.setattr(sys, "executable", path)
    told = _quoted_interpreter()["runtime_env"]["py_executable"]
    assert subprocess.run(["sh", "-c", f"printf %s {told}"], capture_output=True, text=True).stdout == path
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert _quoted_interpreter() == {}


@pytest.mark.ray
@pytest.mark.slow
def test_workers_start_from_an_environment_with_spaces_and_quotes_in_its_path(tmp_path):
    root = tmp_path / "it's my path; really"
    venv.create(root / "environment", symlinks=True)
    (packages,) = (root / "environment" / "lib").glob("python*/site-packages")
    searched = [str(Path(aesweep.__file__).parent.parent), *(path for path in sys.path if "site-packages" in path)]
    (packages / "shared.pth").write_text("\n".join(searched))
    stage = {**SMALL_STUDY["stages"]["architecture"], "samples": 1, "epochs": 1, "asha": {"grace_period": 1}}
    study = {**SMALL_STUDY, "stages": {"architecture": stage}, "retraining": {"epochs": 1, "seeds": 1}}
    (root / "study.yaml").write_text(yaml.safe_dump(study))
    command = [root / "environment" / "bin" / "python", "-m", "aesweep.cli", "run", "study.yaml", "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    events = read_journal(root / "runs" / "small" / "journal.jsonl")
    assert {event["status"] for event in events if event["kind"] == "trial_ended"} == {"completed"}

"""`python -m`: the command by the names of its module, from the checkout and from elsewhere, is the installed one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("module", "is_in_checkout", "path"),
    [
        ("sweep.cli", True, None),
        ("sweep.cli", False, ROOT),  # from another folder, by PYTHONPATH
        ("aesweep.cli", False, None),
        ("aesweep.cli", True, None),
    ],
)
def test_module_is_the_command(module, is_in_checkout, path, small_study, write_study, tmp_path):
    study = write_study(small_study)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, "-m", module, "plan", str(study), "--json"],
        cwd=ROOT if is_in_checkout else tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["study"] == small_study["name"]


def test_error_of_the_module_is_one_line_with_the_commands_exit_code(tmp_path):
    (tmp_path / "study.yaml").write_text("name: 3\n")
    command = [sys.executable, "-m", "sweep.cli", "plan", str(tmp_path / "study.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 78 and "Traceback" not in done.stderr

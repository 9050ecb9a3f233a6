"""A few faults of the harness; `make chaos N=500` runs many."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.chaos, pytest.mark.ray, pytest.mark.timeout(3600)]


def test_twenty_faults_leave_no_violation():
    command = [sys.executable, "-m", "tests.chaos.harness", "--faults", "20", "--seed", "1"]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 violations" in done.stdout

"""What is sent to a cluster: enough to run the study there, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aesweep.cluster.remote import code_package as parcel
from aesweep.cluster.remote.code_package import STUDY, fill_parcel
from aesweep.process.errors import AesweepError
from aesweep.study.study_file import load_study

ROOT = Path(__file__).parents[2]


def test_study_reads_the_same_there_with_its_reference(tmp_path):
    study = load_study(ROOT / "jobs" / "published.yaml", ("stages.architecture.samples=7",))
    num_bytes = fill_parcel(tmp_path, study)
    assert num_bytes == sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    there = load_study(tmp_path / STUDY)
    assert there.stages["architecture"].samples == 7
    assert Path(there.report.reference).read_bytes() == Path(study.report.reference).read_bytes()
    assert Path(there.report.reference).parent == tmp_path.resolve()


def test_code_runs_from_the_parcel_alone(tmp_path):
    fill_parcel(tmp_path, load_study(ROOT / "jobs" / "quickstart.yaml"))
    code = "import aesweep.cli.commands; print(aesweep.cli.commands.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(tmp_path.resolve())


def test_nothing_but_code_and_study_is_sent(tmp_path):
    fill_parcel(tmp_path, load_study(ROOT / "jobs" / "quickstart.yaml"))
    assert {path.name for path in tmp_path.iterdir()} == {"aesweep", STUDY}
    kinds = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert kinds == {".py", ".j2", ".js", ".css", ".yaml"}


def test_parcel_that_is_too_large_names_what_is(tmp_path, monkeypatch):
    monkeypatch.setattr(parcel, "MAX_BYTES", 1000)
    with pytest.raises(AesweepError, match=r"expected at most 1,000: \S+ alone has"):
        fill_parcel(tmp_path, load_study(ROOT / "jobs" / "quickstart.yaml"))

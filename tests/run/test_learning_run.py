"""Real runs under Ray of a stage that learns: killed, with one worker, and with several at once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from aesweep.storage.journal import read_journal
from aesweep.study.study_file import load_study
from tests.chaos.checker import violations
from tests.conftest import SMALL_STUDY
from tests.run.test_resume import assert_same, command, ended_well, killed, of, resume

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

STUDY = {
    **SMALL_STUDY,
    "stages": {
        "architecture": {**SMALL_STUDY["stages"]["architecture"], "samples": 3, "sampler": "tpe"},
        "denoising": {
            "from": "architecture",
            "space": {"noise_variance": {"grid": [0.05, 0.2]}, "learning_rate": {"log_uniform": [0.001, 0.01]}},
            "table": {"rows": "noise_variance"},
            "samples": 4,
            "epochs": 2,
            "asha": "none",
            "sampler": "tpe",
            "metric": "validation_psnr_db",
        },
    },
    "retraining": {"epochs": 2, "seeds": 1},
}
TRAINERS = {"trainers": 2, "gpus_per_trainer": 0, "trials_per_trainer": 1}


def write_study(folder: Path, **changes: object) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**STUDY, **changes}))
    return path


def finished(folder: Path, *arguments: str, **changes: object) -> tuple[list[dict], dict]:
    """The journal of a run that nothing disturbs, and its study with every default filled in."""
    path = write_study(folder, **changes)
    ended_well("run", path, "--runs", folder / "runs", "--quiet", *arguments)
    return read_journal(folder / "runs" / "small" / "journal.jsonl"), load_study(path).resolved()


def created(events: list[dict]) -> list[dict]:
    return [
        {name: value for name, value in event.items() if name not in ("time", "seq", "crc")}
        for event in of(events, "trial_created")
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> list[dict]:
    events, study = finished(tmp_path_factory.mktemp("whole"), "--workers", "1")
    assert violations(events, study) == []
    return events


@pytest.mark.slow  # tests/search/test_suggestions.py kills a toy at any tenth event
@pytest.mark.parametrize("num_rows", [7, 31])
def test_run_that_is_killed_goes_on_to_the_suggestions_that_it_would_have_had(tmp_path, whole, num_rows):
    write_study(tmp_path)
    killed(tmp_path, lambda events: len(of(events, "row")) >= num_rows, seed=num_rows)
    resume(tmp_path)
    events = read_journal(tmp_path / "runs" / "small" / "journal.jsonl")
    assert created(events) == created(whole)
    assert_same(events, whole)
    report = (tmp_path / "runs" / "small" / "report.md").read_text()
    assert "A tree-structured Parzen estimator chose" in report
    assert "8 trials without early stopping; 16 of 16 epochs were trained" in report


@pytest.mark.parametrize("resources", [pytest.param({}, marks=pytest.mark.slow), TRAINERS])
def test_no_trial_is_suggested_before_there_is_room_for_it(tmp_path, resources):
    events, study = finished(tmp_path, "--workers", "2", resources=resources)
    assert violations(events, study) == []
    for stage in ("architecture", "denoising"):
        told = of(events, "trial_created", stage=stage)
        assert all(event["based_on"]["ends"] >= number - 1 for number, event in enumerate(told))
    stopped = command("resume", tmp_path / "runs" / "small", "--quiet")
    assert subprocess.run(stopped, capture_output=True, timeout=200).returncode == 0

"""The search without Ray: it finds what `aesweep run` finds, and ends well where there is no GPU."""

import subprocess
import sys

import bench_search
import pytest
import torch
import yaml

from aesweep.storage.journal import read_journal
from aesweep.study.schema import Study


def run(study_file, *options: str) -> str:
    command = [sys.executable, bench_search.__file__, str(study_file), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_without_a_gpu_it_says_so_and_ends_well(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert run(tmp_path / "any.yaml") == "no GPU\n"


def test_it_is_the_whole_search_with_its_journal(tmp_path, small_study):
    study = Study.model_validate(small_study)
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(small_study))
    said = run(file, "--device", "cpu", "--at-once", "3", "--keep", str(tmp_path))
    events = read_journal(tmp_path / "small" / "journal.jsonl")
    rows = [event for event in events if event["kind"] == "row"]
    num_trials = sum(event["kind"] == "trial_created" for event in events)
    ended = [event for event in events if event["kind"] == "trial_ended"]
    assert num_trials == len(ended) > 0 and {event["status"] for event in ended} <= {"completed", "stopped"}
    assert any(event["kind"] == "cell_winner" for event in events)
    assert {event["split"] for event in events if event["kind"] == "baseline"} == {"validation"}
    steps = -(-(1797 - 360 - 144) // 64)  # digits without their test images and a tenth for validation
    last = [cell.strip() for cell in said.splitlines()[-1].strip("|").split("|")]
    assert last[:3] == ["all", str(num_trials), str(len(rows))]
    assert int(last[5].replace(",", "")) == steps * len(rows)
    assert len(said.splitlines()) == 4 + len(study.stages) + 1

"""GPUs that only Ray believes in: trainers hold them where they are said to be faster; else trials train on cores."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

from aesweep.storage.journal import read_journal
from tests.chaos.checker import violations
from tests.cluster.local_nodes import LocalNodes
from tests.conftest import SMALL_STUDY

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]
STUDY = {
    **SMALL_STUDY,
    "stages": {"architecture": {**SMALL_STUDY["stages"]["architecture"], "samples": 1, "epochs": 2}},
    "retraining": {"epochs": 1, "seeds": 1},
}
# The command, with a GPU that is said to be fast. What is timed is called in a process that holds one.
WITH_FAST_GPU = """
import runpy, sys
from aesweep.cluster.runner import Cluster
from aesweep.run import driver

def timed(work, precision):
    import ray
    assert len(ray.get_gpu_ids()) == 1, ray.get_gpu_ids()
    return [2.0] * len(work), [1.0] * len(work)

start = Cluster._started_trainers

def started(cluster, resources):
    trainers = start(cluster, resources)
    print("trainers:", len(trainers), file=sys.stderr)
    return trainers

driver.time_on_both = timed
Cluster._started_trainers = started
sys.argv[0] = "aesweep"
runpy.run_module("aesweep.cli", run_name="__main__")
"""


def called(nodes, *words, code: str | None = None) -> subprocess.CompletedProcess:
    start = [sys.executable, "-c", code] if code else [sys.executable, "-m", "aesweep.cli"]
    words = [*start, *map(str, words), "--address", nodes.address]
    return subprocess.run(words, env=nodes.environment, capture_output=True, text=True, timeout=300)


def test_gpus_get_a_trainer_each_where_they_are_faster_and_keep_them_in_a_later_session(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    run = tmp_path / STUDY["name"]
    with LocalNodes([{"num_cpus": 1, "num_gpus": 1}, {"num_cpus": 2, "num_gpus": 1}]) as nodes:
        done = called(nodes, "run", tmp_path / "study.yaml", "--runs", tmp_path, code=WITH_FAST_GPU)
        assert done.returncode == 0, done.stderr
        assert "trainers: 2" in done.stderr
        # Two GPUs of twice a core's speed against three cores.
        chosen = "2 trainers with a GPU and 16 trials at once each"
        said = f"{chosen}: faster than 3 cores by a factor of 1.3, by timed steps"
        assert done.stderr.splitlines()[0] == f"training on {said}"
        events = read_journal(run / "journal.jsonl")
        assert violations(events, events[0]["study"]) == []
        again = called(nodes, "extend", run, "--samples", 2)  # PyTorch cannot use these GPUs, and is not asked again
        assert again.returncode == 0, again.stderr
        assert f"training on {chosen}: as before" in again.stderr
    assert events[0]["study"]["resources"]["trainers"] == "auto"
    assert events[0]["resources"] == {
        "gpus_per_trial": 0,
        "trainers": 2,
        "gpus_per_trainer": 1,
        "trials_per_trainer": 16,
        "gpus_seen": 2,
        "reason": said,
    }
    assert f"| Trained on | {chosen}: as before |" in (run / "report.md").read_text()


@pytest.mark.slow  # test_device_choice.py has an error of the timing, and the test above a GPU that Ray gives away
def test_gpus_that_pytorch_cannot_use_leave_the_cores(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    with LocalNodes([{"num_cpus": 2, "num_gpus": 2}]) as nodes:
        done = called(nodes, "run", tmp_path / "study.yaml", "--runs", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "completed"
    first = done.stderr.splitlines()[0]
    assert first.startswith("training on 2 cores: of 2 GPUs none can be used: PyTorch ")
    resources = read_journal(tmp_path / STUDY["name"] / "journal.jsonl")[0]["resources"]
    assert resources["trainers"] == 0 and f"training on {resources['reason']}" == first


@pytest.mark.slow  # test_gpus.py has the waiting
def test_run_that_waits_for_gpus_does_not_train_without_one(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    with LocalNodes([{"num_cpus": 1}]) as nodes:
        done = called(nodes, "run", tmp_path / "study.yaml", "--runs", tmp_path, "--gpus", 2, "--gpu-wait", 2)
    assert done.returncode == 1
    assert "error: 0 of 2 GPUs were up after 2 s" in done.stderr

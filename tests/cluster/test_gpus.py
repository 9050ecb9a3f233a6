"""GPUs that do not come: waited for with a word, and not for ever."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from aesweep.cluster.remote.gpus import wait_for_gpus
from tests.cluster.local_nodes import LocalNodes
from tests.conftest import SMALL_STUDY

pytestmark = pytest.mark.timeout(400)
STUDY = {
    **SMALL_STUDY,
    "stages": {"architecture": {**SMALL_STUDY["stages"]["architecture"], "samples": 1, "epochs": 2}},
    "retraining": {"epochs": 1, "seeds": 1},
    "resources": {"gpus_per_trial": 0.5},
}


def run(folder, nodes, *arguments) -> subprocess.CompletedProcess:
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    words = [sys.executable, "-m", "aesweep.cli", "run", str(folder / "study.yaml"), "--runs", str(folder)]
    words += ["--address", nodes.address, "--gpu-wait", "2", *arguments]
    return subprocess.run(words, env=nodes.environment, capture_output=True, text=True, timeout=300)


@pytest.mark.ray
def test_run_without_any_gpu_ends_with_the_remedy(tmp_path):
    with LocalNodes([{"num_cpus": 1}]) as nodes:
        done = run(tmp_path, nodes)
    assert done.returncode == 1
    assert "0 of 1 GPU up" in done.stderr
    assert "error: 0 of 1 GPU were up after 2 s, and the study's resources need 0.5" in done.stderr


@pytest.mark.ray
@pytest.mark.slow  # the waiting itself is tried below
def test_run_goes_on_with_the_gpus_that_are_up(tmp_path):
    with LocalNodes([{"num_cpus": 2, "num_gpus": 1}]) as nodes:
        done = run(tmp_path, nodes, "--gpus", "3")
    assert done.returncode == 0, done.stderr
    assert "1 of 3 GPUs up" in done.stderr and "going on with 1 of 3 GPUs" in done.stderr


def test_waiting_ends_with_those_that_are_up_and_asks_for_no_more(monkeypatch):
    asked, said = [], []
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 2.0, "GPU": 1.0})
    monkeypatch.setattr("ray.autoscaler.sdk.request_resources", lambda bundles: asked.append(len(bundles)))
    wait_for_gpus(0.5, 3, 0.0, said.append, lambda: False)
    assert said == ["1 of 3 GPUs up", "going on with 1 of 3 GPUs"]
    assert asked == [3, 0]

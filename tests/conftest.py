"""Study files that tests write and change, and an S3 server on loopback."""

from __future__ import annotations

import copy
import importlib.util
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings

# In a checkout where nothing is installed, as on a machine that is lent for its GPU, a module stands for the package;
# also in the processes that tests start.
if importlib.util.find_spec("aesweep") is None:
    stand_in = str(Path(__file__).parent / "uninstalled")
    sys.path.append(stand_in)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), stand_in)))

# A slow disk or a busy machine is no fault of what is tested. `make fuzz` draws many more cases of the same tests.
_RELAXED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
settings.register_profile("test", max_examples=150, **_RELAXED)
settings.register_profile("fuzz", max_examples=3000, **_RELAXED)
if settings.get_current_profile_name() not in ("test", "fuzz"):  # this module is imported twice
    settings.load_profile("test")

SMALL_STUDY: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "datasets": ["digits"],
    "stages": {
        "architecture": {
            "space": {
                "hidden_layers": {"grid": [[32], [32, 16]]},
                "latent_dim": {"grid": [4, 8]},
                "learning_rate": {"log_uniform": [0.001, 0.01]},
                "batch_size": 64,
            },
            "table": {"rows": "latent_dim", "columns": "hidden_layers"},
            "samples": 3,
            "epochs": 9,
            "asha": {"grace_period": 1, "reduction_factor": 3},
        },
        "regularization": {
            "from": "architecture",
            "space": {
                "regularizer": {"grid": ["none", "l1", "l1_l2"]},
                "l1": {"log_uniform": [1e-8, 1e-5], "when": {"regularizer": ["l1", "l1_l2"]}},
                "l2": {"log_uniform": [1e-8, 1e-5], "when": {"regularizer": "l1_l2"}},
            },
            "table": {"rows": "regularizer"},
            "samples": 2,
            "epochs": 3,
        },
    },
    "retraining": {"epochs": 2, "seeds": 2},
}

DENOISING_STAGE: dict[str, Any] = {
    "from": "architecture",
    "space": {"noise_variance": {"grid": [0.05, 0.2]}},
    "table": {"rows": "noise_variance"},
    "epochs": 3,
    "seeds": 2,
    "metric": "validation_psnr_db",
    "retraining": {"of": "cells", "seeds": 1},
}


@pytest.fixture(autouse=True)
def ieee_arithmetic():
    """Training flushes denormal numbers in its thread; the tests after it compute as they would without it."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(autouse=True)
def a_gpu_only_where_a_test_asks_for_it(request, monkeypatch):
    """Tests that compare to the bit, or count what a CPU does, mean a CPU on a machine with a GPU as well."""
    if "torch" in sys.modules and request.node.get_closest_marker("gpu") is None:
        monkeypatch.setattr(sys.modules["torch"].cuda, "is_available", lambda: False)


@pytest.fixture(scope="session")
def images():
    """What `tests.tiny_jobs.tiny_job` trains on."""
    from tests.tiny_jobs import tiny_images

    return tiny_images()


VARIATIONAL_STAGE: dict[str, Any] = {
    "from": "architecture",
    "space": {"code": "variational", "beta": {"grid": [0.1, 1.0]}},
    "table": {"rows": "beta"},
    "epochs": 3,
}


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory) -> Path:
    """The folder of a finished run of a small study, trained without Ray. Tests copy it before they change it."""
    import torch

    import aesweep.run.driver
    from aesweep.data.datasets import load_dataset
    from aesweep.run.driver import Run
    from aesweep.run.session import write_report
    from aesweep.run.settings import RunSettings
    from aesweep.storage.run_folder import RunFolder
    from aesweep.storage.run_state import RunState
    from aesweep.study.study_file import load_study
    from tests.search.toy_cluster import Interrupted
    from tests.storage.test_older_runs import Cluster

    folder = tmp_path_factory.mktemp("trained")
    stages = {**SMALL_STUDY["stages"], "denoising": DENOISING_STAGE, "variational": VARIATIONAL_STAGE}
    (folder / "study.yaml").write_text(yaml.safe_dump({**SMALL_STUDY, "stages": stages}))
    study = load_study(folder / "study.yaml", ())
    run = RunFolder.create(folder / "runs", "small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aesweep.run.driver, "Cluster", Cluster)
        patch.setattr(torch.cuda, "is_available", lambda: False)
        images = {"digits": load_dataset("digits")}
        outcome = Run(study, run, images, RunState(), RunSettings(1), Interrupted()).execute(["aesweep"])
    assert (outcome.status, outcome.missing) == ("completed", [])
    write_report(run)
    return run.root


@pytest.fixture
def small_study() -> dict[str, Any]:
    """Plain values of a small, valid study; a copy that a test may change."""
    return copy.deepcopy(SMALL_STUDY)


@pytest.fixture
def write_study(tmp_path: Path):
    """Writes plain values as a study file and returns its path."""

    def write(values: Any) -> Path:
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write


@pytest.fixture(scope="session")
def s3():
    """The endpoint of an S3 server in this process."""
    pytest.importorskip("s3fs", reason="NOT RUN: pip install 'aesweep[aws]'")
    server = pytest.importorskip("moto.server", reason="NOT RUN: pip install 'aesweep[test]'")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    running.start()
    yield f"http://127.0.0.1:{port}"
    running.stop()


@pytest.fixture
def bucket(s3, monkeypatch) -> str:
    """The URL of a bucket there."""
    import boto3
    import s3fs

    for name, value in (("AWS_ENDPOINT_URL", s3), ("AWS_DEFAULT_REGION", "us-east-1"), ("NO_PROXY", "127.0.0.1")):
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    s3fs.S3FileSystem.clear_instance_cache()
    boto3.client("s3").create_bucket(Bucket="our-runs")
    return "s3://our-runs"

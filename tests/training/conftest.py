"""One thread, as each worker trains: what a member learns is the same to the bit, and tests wait for no other core."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from aesweep.training.engine.gpu.lock_step import LockStepStack
from tests.training.replay import Replay

# A machine that is lent for its GPU may lack what only states, checkpoints and statistics need.
NEEDS = {
    "test_evaluation.py": "safetensors",
    "test_model_file.py": "safetensors",
    "test_pack_pool.py": "safetensors",
    "test_single_trial.py": "safetensors",
    "test_state_file.py": "safetensors",
    "test_philox.py": "scipy",
}
collect_ignore = [name for name, package in NEEDS.items() if importlib.util.find_spec(package) is None]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def captured(monkeypatch) -> list[Replay]:
    """Steps on the CPU are captured as they are on a GPU, by `tests.training.replay`."""
    replays = []

    def capture(step):
        replays.append(Replay(step))
        return replays[-1]

    monkeypatch.setattr(LockStepStack, "capture", {"cpu": capture})
    return replays

"""One thread, as each worker trains: what a member learns is the same to the bit, and tests wait for no other core."""

from __future__ import annotations

import pytest
import torch

from aesweep.training.engine.gpu.lock_step import LockStepStack
from tests.training.replay import Replay


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

"""What is recorded of an epoch for which memory was short."""

from __future__ import annotations

from aesweep.search.recorder import Recorder
from aesweep.storage.events import MemoryShort, Row
from tests.search.test_retry_policy import JOB


def test_memory_that_was_short_is_recorded_before_the_row():
    events = []
    recorder = Recorder(events.append, "validation_mse", {}, {})
    recorder.open(JOB)
    row = {"epoch": 1, "loss": 0.1, "training_mse": 0.1, "validation_mse": 0.1, "diverged": False}
    row |= {"validation_psnr_db": 10.0, "learning_rate": 0.1, "seconds": 1.0, "per_seed": [0.1]}
    short = {"memory_short/members_per_step": 4, "memory_short/reason": "CUDA out of memory."}
    assert recorder.take(JOB, {**row, **short}, 1.0)
    assert recorder.take(JOB, {**row, "epoch": 2}, 1.0)
    assert [type(event) for event in events] == [MemoryShort, Row, Row]
    assert events[0] == MemoryShort(trial=JOB.trial, epoch=1, members_per_step=4, reason="CUDA out of memory.")

"""What is recorded of an epoch for which memory was short."""

from __future__ import annotations

import dataclasses

from aesweep.search.recorder import Recorder
from aesweep.search.trial_row import TrialRow
from aesweep.storage.events import MemoryShort, Row
from tests.search.test_retry_policy import SPEC


def test_memory_that_was_short_is_recorded_before_the_row():
    events = []
    recorder = Recorder(events.append, "validation_mse", {}, {})
    recorder.open(SPEC)
    row = TrialRow(
        epoch=1, loss=0.1, training_mse=0.1, validation_mse=0.1, learning_rate=0.1, seconds=1, diverged=False
    )
    short = {"members_per_step": 4, "memory_reason": "CUDA out of memory."}
    assert recorder.take(SPEC, dataclasses.replace(row, **short), 1.0)
    assert recorder.take(SPEC, dataclasses.replace(row, epoch=2), 1.0)
    assert [type(event) for event in events] == [MemoryShort, Row, Row]
    assert events[0] == MemoryShort(trial=SPEC.trial, epoch=1, members_per_step=4, reason="CUDA out of memory.")

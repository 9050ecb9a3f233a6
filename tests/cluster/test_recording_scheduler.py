"""The scheduler takes the rows of a bundle one by one, without Ray: what is recorded is what single rows would give."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from aesweep.cluster.tune.placement import Placement
from aesweep.cluster.tune.scheduler import RecordingScheduler
from aesweep.search.recorder import Recorder
from aesweep.search.schedulers.asha import Asha
from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.event import Event, TrialStatus
from aesweep.storage.events import Decision, Row, TrialEnded
from tests.tiny_jobs import tiny_job

EPOCHS, RUNG = 9, 3


def row(spec: TrialSpec, epoch: int, diverged: bool = False) -> TrialRow:
    error = (1 + spec.seeds[0]) / epoch
    return TrialRow(
        epoch=epoch, loss=error, learning_rate=0.1, seconds=0.5, training_mse=error, validation_mse=error,
        validation_psnr_db=20.0, per_seed=[error], diverged=diverged, held_seconds=2.0,
    )  # fmt: skip


class Batch:
    """A scheduler with two trials, of which the first is the better one, that are under training."""

    def __init__(self, placement: Placement | None = None):
        self.specs = [tiny_job(number, epochs=EPOCHS, rungs=(RUNG,)) for number in range(2)]
        self.events: list[Event] = []
        ashas = {self.specs[0].rivals: Asha([RUNG], 2.0, "min")}
        self.recorder = Recorder(self.record, "validation_mse", ashas, {})
        self.room = float("inf")
        self.scheduler = RecordingScheduler()
        self.scheduler.begin(iter(self.specs), self.recorder, lambda: False, placement)
        self.trials = [SimpleNamespace(config={"spec": spec}) for spec in self.specs]
        for spec in self.specs:
            self.recorder.open(spec)

    def record(self, event: Event) -> None:
        if len(self.events) >= self.room:
            raise OSError("No space left on device")
        self.events.append(event)

    def report(self, number: int, *rows: TrialRow) -> tuple[str, dict[str, Any]]:
        result = {"rows": list(rows), "time_total_s": 7.0}
        return self.scheduler.on_trial_result(None, self.trials[number], result), result

    def epochs(self, number: int) -> list[int]:
        trial = self.specs[number].trial
        return [event.epoch for event in self.events if isinstance(event, Row) and event.trial == trial]

    def ends(self) -> dict[str, tuple[TrialStatus, float]]:
        return {event.trial: (event.status, event.seconds) for event in self.events if isinstance(event, TrialEnded)}


def fed(sizes: list[int]) -> Batch:
    """Both trials' rows up to the rung and those of the better one to its end, in bundles of these sizes."""
    batch = Batch(Placement(1, 2, 2))
    for number, last in ((0, EPOCHS), (1, RUNG)):
        epoch, left = 0, list(sizes)
        while epoch < last:
            size = left.pop(0) if left else 1
            end = min(epoch + size, RUNG if epoch < RUNG else last)
            batch.report(number, *(row(batch.specs[number], e) for e in range(epoch + 1, end + 1)))
            epoch = end
    return batch


@pytest.mark.parametrize("sizes", [[2, 1, 6], [3, 6], [3, 1, 5]])
def test_bundles_of_any_size_are_recorded_as_single_rows_are(sizes):
    assert fed(sizes).events == fed([]).events


def test_decision_is_recorded_right_after_its_row_and_the_answer_stops_the_trial():
    batch = Batch()
    answer, _ = batch.report(0, *(row(batch.specs[0], epoch) for epoch in (1, 2, 3)))
    assert answer == TrialScheduler.CONTINUE
    answer, _ = batch.report(1, *(row(batch.specs[1], epoch) for epoch in (1, 2, 3)))
    assert answer == TrialScheduler.STOP
    assert [type(event) for event in batch.events[-3:]] == [Row, Decision, TrialEnded]
    assert batch.ends() == {batch.specs[1].trial: (TrialStatus.STOPPED, 7.0)}


def test_nothing_after_a_row_that_ends_its_trial_is_recorded():
    batch = Batch()
    batch.report(0, *(row(batch.specs[0], epoch) for epoch in (1, 2, 3)))
    answer, _ = batch.report(1, *(row(batch.specs[1], epoch) for epoch in range(1, 6)))
    assert answer == TrialScheduler.STOP and batch.epochs(1) == [1, 2, 3]
    answer, _ = batch.report(0, row(batch.specs[0], 4, diverged=True), row(batch.specs[0], 5))
    assert answer == TrialScheduler.STOP and batch.epochs(0) == [1, 2, 3, 4]
    assert batch.ends()[batch.specs[0].trial][0] is TrialStatus.DIVERGED


def test_trial_that_a_trainer_trains_is_charged_its_share_of_the_trainer_for_each_row():
    batch = Batch(Placement(1, 2, 2))
    batch.report(0, *(row(batch.specs[0], epoch) for epoch in (1, 2, 3)))
    batch.report(0, *(row(batch.specs[0], epoch) for epoch in range(4, EPOCHS + 1)))
    assert batch.ends() == {batch.specs[0].trial: (TrialStatus.COMPLETED, 2.0 * EPOCHS)}


def test_disk_that_is_full_in_the_middle_of_a_bundle_ends_everything_with_what_came_before_it():
    batch = Batch()
    batch.room = 2
    answer, _ = batch.report(0, *(row(batch.specs[0], epoch) for epoch in (1, 2, 3)))
    assert answer == TrialScheduler.STOP and batch.scheduler.is_over
    assert isinstance(batch.scheduler.error, OSError) and batch.epochs(0) == [1, 2]
    assert batch.report(1, row(batch.specs[1], 1))[0] == TrialScheduler.STOP and batch.epochs(1) == []


def test_rows_that_are_recorded_are_not_kept_by_tune_beside_its_last_result():
    batch = Batch()
    _, result = batch.report(0, row(batch.specs[0], 1), row(batch.specs[0], 2))
    assert result["rows"] == []

"""Which failures are tried again, how often, and what is recorded of them."""

from __future__ import annotations

import math

import pytest

from aesweep.search.recorder import Recorder
from aesweep.search.retry_policy import MAX_IN_A_ROW, Cause, can_help, cause_of
from aesweep.search.schedulers.asha import Asha
from aesweep.search.stages import trial_created
from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.run_state import RunState
from aesweep.study.configuration import Configuration

# What Ray 2.60 and torch write, as met on real machines.
CRASH = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: ImplicitFunc\nThe actor is dead because "
    "its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a "
    "connection error code 2. End of file. Some common causes include: (1) the process was killed by the OOM killer "
    "due to high memory usage, (2) ray stop --force was called"
)
TEXTS = {
    CRASH: Cause.CRASHED,
    "": Cause.CRASHED,
    "The actor died unexpectedly.\nThe actor is dead because its node has died.": Cause.LOST_NODE,
    "The actor is dead because its owner has died. Owner's node has crashed.": Cause.LOST_NODE,
    "The actor is dead because its worker process has died. Worker exit type: NODE_OUT_OF_MEMORY": Cause.OUT_OF_MEMORY,
    "ray::ImplicitFunc.train()\n  File x\ntorch.OutOfMemoryError: CUDA out of memory. Tried to": Cause.OUT_OF_MEMORY,
    "ray::ImplicitFunc.train()\n  File x\nMemoryError": Cause.OUT_OF_MEMORY,
    "ray::ImplicitFunc.train()\n  File x\nOSError: [Errno 28] No space left on device": Cause.STORAGE,
    "ray::ImplicitFunc.train()\n  File x\nValueError: expected OSError: no": Cause.ERROR,
}  # fmt: skip

SPEC = TrialSpec(
    trial="stage-digits-0000",
    purpose="search",
    dataset="digits",
    configuration=Configuration(hidden_layers=(8,), latent_dim=2),
    seeds=(1,),
    epochs=9,
    split_seed=1,
    validation_fraction=0.1,
    training_images=None,
    validation_images=None,
    precision="fp32",
)
CREATED = trial_created("stage", SPEC)


@pytest.mark.parametrize("text", TEXTS)
def test_cause_is_told_from_the_text_of_an_error(text):
    assert cause_of(text) is TEXTS[text]


def test_error_of_the_training_itself_is_not_tried_again_and_others_so_often():
    assert not can_help(Cause.ERROR, 1)
    for cause in set(Cause) - {Cause.ERROR}:
        assert [can_help(cause, number) for number in range(1, MAX_IN_A_ROW + 2)] == [True] * (MAX_IN_A_ROW - 1) + [
            False,
            False,
        ]


class Record:
    """A recorder, and the events that it recorded; a new one may take up where it ended."""

    def __init__(self, earlier=()):
        self.events = [CREATED, *earlier]
        asha = {(SPEC.dataset, SPEC.cell): Asha([3], 3, "min")}
        self.recorder = Recorder(self.events.append, "validation_mse", asha, RunState(self.events).trials)

    def take(self, epoch, value=0.5, seconds=1.0):
        measured = dict.fromkeys(("loss", "training_mse", "validation_mse", "validation_psnr_db"), value)
        row = TrialRow(epoch=epoch, learning_rate=0.1, seconds=0.1, diverged=math.isnan(value), **measured)
        return self.recorder.take(SPEC, row, seconds)

    def fail(self, cause=Cause.CRASHED):
        return self.recorder.fail(SPEC, cause, "gone")

    def of(self, kind):
        return [event for event in self.events if event.kind == kind]


def test_failed_attempt_is_recorded_and_the_next_goes_on_after_the_last_recorded_epoch():
    record = Record()
    record.recorder.open(SPEC)
    record.take(1)
    record.take(2)
    assert record.fail().recorded == 2
    expected = {"trial": SPEC.trial, "epoch": 2, "cause": "crashed", "reason": "gone", "retried": True}
    assert [event.fields() for event in record.of("failure")] == [expected]
    assert not record.of("trial_ended")


def test_trial_that_fails_again_and_again_without_a_new_epoch_is_given_up():
    record = Record()
    record.recorder.open(SPEC)
    for epoch in (1, 2):
        record.take(epoch)
        for _ in range(MAX_IN_A_ROW - 1):
            assert record.fail()
            record.take(epoch)  # trained again, and nothing new
    assert record.fail() is None
    (end,) = record.of("trial_ended")
    assert (end.status, end.epochs, end.reason) == ("failed", 2, "crashed: gone")
    assert record.fail() is None and len(record.of("trial_ended")) == 1


def test_attempts_are_counted_across_sessions():
    record = Record()
    record.recorder.open(SPEC)
    for _ in range(MAX_IN_A_ROW - 1):
        record.fail()
    again = Record(record.events[1:])
    assert again.recorder.open(SPEC)
    assert again.fail() is None


def test_trial_that_was_given_up_just_before_a_kill_gets_its_end_and_no_attempt_more():
    record = Record()
    record.recorder.open(SPEC)
    record.take(1)
    record.fail(Cause.ERROR)
    killed = Record(record.events[1:-1])
    assert not killed.recorder.open(SPEC)
    assert [event.kind for event in killed.events] == [event.kind for event in record.events]
    assert killed.of("trial_ended")[0].reason == record.of("trial_ended")[0].reason


def test_diverged_trial_is_never_tried_again():
    record = Record()
    record.recorder.open(SPEC)
    assert not record.take(1, math.nan)
    assert record.fail() is None
    assert [event.status for event in record.of("trial_ended")] == ["diverged"]
    assert not record.of("failure")


def test_time_of_failed_attempts_counts():
    record = Record()
    record.recorder.open(SPEC)
    record.take(1, seconds=10.0)
    record.fail()
    for epoch in range(1, SPEC.epochs + 1):
        record.take(epoch, seconds=5.0)
    assert record.of("trial_ended")[0].seconds == 15.0


def test_jobs_that_are_left_go_on_after_what_is_recorded_and_their_time_counts():
    record = Record()
    record.recorder.open(SPEC)
    record.take(1, seconds=4.0)
    (left,) = record.recorder.left()
    assert left.recorded == 1
    for epoch in range(2, SPEC.epochs + 1):
        record.take(epoch, seconds=5.0)
    assert record.recorder.left() == []
    assert record.of("trial_ended")[0].seconds == 9.0


def test_only_trials_that_were_attempted_are_recorded_as_interrupted():
    record = Record()
    record.recorder.open(SPEC)
    record.recorder.left()  # as the driver asks whenever Tune has ended
    record.recorder.end_unfinished("the run was interrupted")
    assert not record.of("trial_ended")
    for attempt in (lambda record: record.take(1), lambda record: record.fail()):
        record = Record()
        record.recorder.open(SPEC)
        attempt(record)
        record.recorder.left()
        record.recorder.end_unfinished("the run was interrupted")
        assert [event.status for event in record.of("trial_ended")] == ["interrupted"]

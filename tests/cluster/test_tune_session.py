"""Tune in a thread of its own: batch after batch, by the same workers, and to an end whatever happens in between."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from ray.tune.search import Searcher

from aesweep.cluster.tune.session import Feed, TuneSession
from aesweep.search.recorder import Recorder
from aesweep.search.retry_policy import Cause
from aesweep.search.trial_queue import TrialQueue
from aesweep.storage.event import Event
from aesweep.storage.events import Failure, Row, TrialEnded
from tests.cluster.local_ray import local_ray
from tests.tiny_jobs import tiny_job

EPOCHS = 3


def taking(*numbers: int):
    """Gives these numbers, then None."""
    left = iter(numbers)
    return lambda: next(left, None)


def test_feed_gives_numbers_in_their_order_and_no_more_at_once_than_may_be_live():
    feed = Feed()
    feed.hand(taking(4, 5, 6), lambda: 2)
    assert [feed.suggest(name) for name in "abc"] == [{"number": 4}, {"number": 5}, None]
    assert not feed.wait_until_idle(0)
    feed.on_trial_complete("a")
    assert [feed.suggest(name) for name in "cd"] == [{"number": 6}, None]


def test_feed_keeps_tune_waiting_between_batches_and_lets_it_go_at_the_end():
    feed = Feed()
    feed.hand(taking(0), lambda: None)
    given = [feed.suggest("a")]
    asking = threading.Thread(target=lambda: given.extend(feed.suggest(name) for name in "bcd"))
    assert not feed.wait_until_idle(0)
    feed.on_trial_complete("a", error=True)
    asking.start()
    assert feed.wait_until_idle(10)
    feed.hand(taking(1), lambda: None)
    while len(given) < 2:
        time.sleep(0.01)
    assert not feed.wait_until_idle(0)
    assert asking.join(10) is None and given == [{"number": 0}, {"number": 1}, None, None]
    feed.on_trial_complete("b")
    feed.close()
    assert feed.suggest("e") == Searcher.FINISHED


def reporting():
    """A trial that says in which process it is, and takes its time; a worker gets it whole, not by its module."""

    def report_pid(config: dict) -> None:
        from ray import tune

        from aesweep.search.trial_row import TrialRow

        for epoch in range(1, EPOCHS + 1):
            time.sleep(0.2)
            values = {"loss": 1.0, "training_mse": 1.0, "validation_mse": 1.0, "seconds": float(os.getpid())}
            tune.report({"rows": [TrialRow(epoch=epoch, diverged=False, learning_rate=0.1, **values)]})

    return report_pid


class Kept(Recorder):
    """A recorder, with what it recorded."""

    def __init__(self, specs):
        self.events: list[Event] = []
        super().__init__(self.events.append, "validation_mse", {}, {})
        for spec in specs:
            self.open(spec)

    @property
    def pids(self) -> list[int]:
        return [int(event.seconds) for event in self.events if isinstance(event, Row)]


def batch(first: int, number: int):
    specs = [tiny_job(first + offset, epochs=EPOCHS) for offset in range(number)]
    return TrialQueue(specs), Kept(specs)


@pytest.fixture
def open_session():
    """Sessions of a Ray of this test's own."""
    sessions = []
    with local_ray(num_cpus=2) as folder:
        from ray import tune

        def start(keeps_workers: bool = True) -> TuneSession:
            trainable = tune.with_resources(reporting(), {"CPU": 1})
            sessions.append(TuneSession(trainable, folder / "tune", keeps_workers))
            return sessions[-1]

        yield start
        for session in sessions:
            session.close()


def never() -> bool:
    return False


@pytest.mark.ray
def test_batches_are_trained_by_the_same_two_workers_whatever_their_size(open_session):
    session = open_session()
    pids = set()
    for first, number in ((0, 3), (3, 1), (4, 2)):
        queue, recorder = batch(first, number)
        session.train(queue, recorder, never, None)
        assert not recorder.unfinished and len(recorder.pids) == number * EPOCHS
        assert session.is_alive
        pids |= set(recorder.pids)
    assert len(pids) == 2
    session.close()
    assert not session.is_alive


@pytest.mark.ray
def test_worker_that_dies_between_two_batches_costs_its_trial_one_attempt_at_most(open_session):
    session = open_session()
    queue, recorder = batch(0, 2)
    session.train(queue, recorder, never, None)
    victim = recorder.pids[0]
    os.kill(victim, signal.SIGKILL)
    queue, recorder = batch(2, 2)
    session.train(queue, recorder, never, None)
    if session.scheduler.begins_anew:  # lost while it was handed the trial: what is left goes to another session
        left = TrialQueue(recorder.left())
        open_session().train(left, recorder, never, None)
    assert not recorder.unfinished
    assert {event.epochs for event in recorder.events if isinstance(event, TrialEnded)} == {EPOCHS}
    failures = [event for event in recorder.events if isinstance(event, Failure)]
    assert len(failures) <= 1 and all(event.cause is Cause.CRASHED and event.retried for event in failures)
    assert victim not in recorder.pids


@pytest.mark.ray
def test_one_at_a_time_a_trial_that_is_tried_again_lets_no_other_pass(open_session):
    session = open_session()
    queue, recorder = batch(0, 3)
    record = recorder._record

    def record_and_kill(event: Event) -> None:
        record(event)
        if isinstance(event, Row) and event.epoch == 1 and len(recorder.pids) == 1:
            os.kill(recorder.pids[0], signal.SIGKILL)

    recorder._record = record_and_kill
    session.train(queue, recorder, never, None, most_at_once=lambda: 1)
    if session.scheduler.begins_anew:
        open_session().train(TrialQueue(recorder.left()), recorder, never, None, most_at_once=lambda: 1)
    trials = [event.trial for event in recorder.events if isinstance(event, Row)]
    assert trials == [tiny_job(number).trial for number in range(3) for _ in range(EPOCHS)]
    assert [type(event) for event in recorder.events].count(Failure) == 1
    assert len(set(recorder.pids)) >= 2


@pytest.mark.ray
def test_interruption_and_a_recorder_that_fails_end_the_session_at_once(open_session):
    session = open_session()
    queue, recorder = batch(0, 2)
    session.train(queue, recorder, lambda: len(recorder.pids) >= 1, None)
    assert recorder.unfinished and not session.is_alive
    broken = open_session()
    queue, recorder = batch(2, 2)

    def full(event):
        raise OSError("No space left on device")

    recorder._record = full
    with pytest.raises(OSError, match="No space left"):
        broken.train(queue, recorder, never, None)
    assert not broken.is_alive


@pytest.mark.ray
def test_what_breaks_tune_itself_is_told_to_who_waits_for_it(open_session, monkeypatch):
    from ray import tune

    def broken(*arguments, **options):
        raise RuntimeError("Tune does not start")

    monkeypatch.setattr(tune, "Tuner", broken)
    session = open_session()
    queue, recorder = batch(0, 1)
    with pytest.raises(RuntimeError, match="Tune does not start"):
        session.train(queue, recorder, never, None)

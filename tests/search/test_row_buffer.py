"""The rows of a trial on their way to the driver: every row once, in its order, in time, and never too many."""

from __future__ import annotations

import math
import random

import pytest

from aesweep.search.row_buffer import INTERVAL_S, MAX_AHEAD, MOST_ROWS, RowBuffer
from aesweep.search.trial_row import TrialRow


def row(epoch: int, is_awaited: bool = False) -> TrialRow:
    values = {"loss": 0.1, "learning_rate": 0.1, "seconds": 0.1, "training_mse": 0.1, "diverged": False}
    return TrialRow(epoch=epoch, is_awaited=is_awaited, **values)


class Clock:
    """A time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def epochs(rows: list[TrialRow]) -> list[int]:
    return [row.epoch for row in rows]


def test_row_waits_for_the_next_ones_until_a_second_has_passed_since_the_last_bundle(clock):
    buffer = RowBuffer(clock=clock)
    assert buffer.due_in_s() is None and not buffer.is_due
    buffer.add(row(1))
    clock.now += 0.4
    buffer.add(row(2))
    assert buffer.due_in_s() == pytest.approx(INTERVAL_S - 0.4) and not buffer.is_due
    clock.now += INTERVAL_S - 0.4
    assert buffer.is_due
    assert epochs(buffer.send()) == [1, 2]
    assert buffer.due_in_s() is None
    buffer.add(row(3))
    assert buffer.due_in_s() == pytest.approx(INTERVAL_S)


def test_row_of_an_epoch_that_took_longer_than_the_interval_is_sent_at_once(clock):
    buffer = RowBuffer(clock=clock)
    for epoch in range(1, 5):
        clock.now += 20.0
        buffer.add(row(epoch))
        assert buffer.is_due and epochs(buffer.send()) == [epoch]


@pytest.mark.parametrize("num_before", [0, 1, 5])
def test_awaited_row_is_sent_at_once_with_all_before_it_and_none_after_it(clock, num_before):
    buffer = RowBuffer(clock=clock)
    for epoch in range(1, num_before + 1):
        buffer.add(row(epoch))
        assert not buffer.is_due
    buffer.add(row(num_before + 1, is_awaited=True))
    buffer.add(row(num_before + 2))
    assert buffer.is_due
    assert epochs(buffer.send()) == list(range(1, num_before + 2))
    assert not buffer.is_due and epochs(buffer.send()) == [num_before + 2]


def test_each_row_is_sent_alone_and_at_once_where_there_is_no_interval(clock):
    buffer = RowBuffer(0.0, clock)
    for epoch in (1, 2, 3):
        buffer.add(row(epoch))
        assert buffer.is_due and epochs(buffer.send()) == [epoch]


def test_full_bundle_is_sent_at_once_and_making_stops_while_one_is_on_its_way_and_the_next_is_full(clock):
    buffer, epoch = RowBuffer(clock=clock), 0
    while not buffer.is_due:
        buffer.add(row(epoch := epoch + 1))
    assert epoch == MOST_ROWS and len(buffer.send()) == MOST_ROWS
    while buffer.has_room:
        buffer.add(row(epoch := epoch + 1))
    assert epoch == 2 * MOST_ROWS
    buffer.confirm()
    assert buffer.recorded == MOST_ROWS and buffer.has_room


def test_from_an_awaited_row_on_no_more_is_made_ahead_than_a_decision_allows_until_it_is_recorded(clock):
    buffer = RowBuffer(clock=clock)
    for epoch in (1, 2, 3):
        buffer.add(row(epoch))
    buffer.add(row(4, is_awaited=True))
    assert buffer.has_room
    buffer.add(row(5, is_awaited=True))
    assert not buffer.has_room and MAX_AHEAD == 2
    buffer.send()
    assert not buffer.has_room, "what is on its way is not decided"
    buffer.confirm()
    assert buffer.recorded == 4 and buffer.has_room
    buffer.add(row(6))
    assert not buffer.has_room, "epoch 5 is awaited as well"
    assert epochs(buffer.send()) == [5]


def test_nothing_is_recorded_before_it_is_confirmed_and_a_confirmation_says_no_more_than_was_sent(clock):
    buffer = RowBuffer(clock=clock)
    buffer.confirm()
    assert buffer.recorded == 0
    buffer.add(row(8))  # a trial that goes on
    buffer.add(row(9))
    buffer.send()
    buffer.add(row(10))
    assert buffer.recorded == 0
    buffer.confirm()
    assert buffer.recorded == 9
    buffer.confirm()
    assert buffer.recorded == 9 and epochs(buffer.send()) == [10]


def test_waiting_rows_that_are_dropped_are_made_again_and_those_on_their_way_still_count(clock):
    buffer = RowBuffer(clock=clock)
    for epoch in (1, 2):
        buffer.add(row(epoch))
    buffer.send()
    buffer.add(row(3))
    buffer.drop_waiting()
    assert buffer.due_in_s() is None
    buffer.confirm()
    assert buffer.recorded == 2
    for epoch in (1, 2, 3):  # from an older state
        buffer.add(row(epoch))
    assert epochs(buffer.send()) == [1, 2, 3]
    assert buffer.recorded == 2


@pytest.mark.parametrize("seed", range(20))
def test_every_row_arrives_once_and_in_order_whatever_comes_when(clock, seed):
    """A trial of 300 epochs against a driver that asks at random times."""
    choose = random.Random(seed)
    rungs = set(choose.sample(range(1, 300), choose.choice([0, 3, 100])))
    buffer, made, arrived, on_its_way, oldest = RowBuffer(clock=clock), 0, [], [], math.inf
    while len(arrived) < 300:
        clock.now += choose.expovariate(choose.choice([0.5, 20.0]))
        if made < 300 and buffer.has_room and choose.random() < 0.8:
            made += 1
            buffer.add(row(made, is_awaited=made in rungs or made == 300))
            oldest = min(oldest, clock.now)
            recorded = len(arrived) - len(on_its_way)
            undecided = [epoch for epoch in rungs if recorded < epoch <= made]
            assert not undecided or made - min(undecided) < MAX_AHEAD
            assert made - recorded <= 2 * MOST_ROWS
        elif choose.random() < 0.5:
            if on_its_way:
                buffer.confirm()
                on_its_way = []
                assert buffer.recorded == len(arrived)
            if buffer.is_due:
                on_its_way = buffer.send()
                assert not rungs & set(epochs(on_its_way[:-1])), "a decision is due before what follows it"
                arrived += on_its_way
                oldest = math.inf if made == len(arrived) else clock.now
        assert buffer.is_due or clock.now - oldest < INTERVAL_S or made == len(arrived)
    assert epochs(arrived) == list(range(1, 301))

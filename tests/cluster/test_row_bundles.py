"""A trainer's rows in bundles, without Ray: its coroutines in this process, and epochs that take no time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from aesweep.cluster.tune.trainer import Trainer
from aesweep.search.row_buffer import MAX_AHEAD
from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec
from tests.tiny_jobs import tiny_job

LONG_S = 30.0  # an interval within which no test ends


class Scripted(Trainer):
    """Trains nothing: an epoch of a trial gives a row or the exception that stands in its script.

    Args:
        errors: for a trial, the epoch that breaks and the exception.
        most_epochs: no more are trained while this many are; None for no limit.
    """

    def __init__(self, errors: dict[str, tuple[int, Exception]] | None = None, **arguments: Any):
        super().__init__(**arguments)
        self.made: dict[str, int] = {}
        self.most_epochs: int | None = None
        self._errors = errors or {}

    def _step(self, left: list[Any], ready: dict[Any, int]) -> list[tuple[Any, TrialRow | Exception]]:
        return [(seat, self._epoch(seat.spec)) for seat in ready if self._may(seat.spec)]

    def _may(self, spec: TrialSpec) -> bool:
        made = self.made.get(spec.trial, 0)
        return made < spec.epochs and (self.most_epochs is None or made < self.most_epochs)

    def _epoch(self, spec: TrialSpec) -> TrialRow | Exception:
        epoch = self.made[spec.trial] = self.made.get(spec.trial, 0) + 1
        broken_at, error = self._errors.get(spec.trial, (0, None))
        if epoch == broken_at:
            return error
        values = {"loss": 0.1, "learning_rate": 0.1, "seconds": 0.1, "training_mse": 0.1, "diverged": False}
        return TrialRow(epoch=epoch, is_awaited=epoch in (*spec.rungs, spec.epochs), **values)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(main(), 20)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()  # the trainer's training, which goes on as long as its actor lives
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(limited())


async def joined(trainer: Trainer, *specs: TrialSpec) -> None:
    for spec in specs:
        await trainer.join(spec, f"attempt of {spec.trial}", [None], None)


async def bundle(trainer: Trainer, spec: TrialSpec) -> list[int]:
    return [row.epoch for row in await trainer.next_rows(spec.trial, f"attempt of {spec.trial}")]


async def settled(trainer: Scripted) -> dict[str, int]:
    """How many epochs each trial has been trained, once no more are without another request."""
    before = None
    while before != (before := dict(trainer.made)) or not before:
        await asyncio.sleep(0.05)
    return before


def test_bundles_end_at_rungs_and_at_the_end_and_one_epoch_is_trained_while_a_decision_is_due():
    spec = tiny_job(epochs=30, rungs=(3, 9, 10))

    async def main() -> None:
        trainer = Scripted(interval_s=LONG_S)
        await joined(trainer, spec)
        for last, ahead in ((3, 1), (9, 1), (10, 1), (30, 0)):
            rows = await bundle(trainer, spec)
            assert rows[-1] == last and rows == list(range(rows[0], last + 1))
            assert await settled(trainer) == {spec.trial: last + ahead} and ahead < MAX_AHEAD
            assert trainer._seats[spec.trial].buffer.recorded == rows[0] - 1

    run(main)


def test_trials_at_their_own_pace_get_every_row_once_and_in_order():
    specs = [tiny_job(number, epochs=250 + number, rungs=(number + 1, 60 + number)) for number in range(5)]

    async def follow(trainer: Trainer, spec: TrialSpec) -> list[int]:
        epochs: list[int] = []
        while len(epochs) < spec.epochs:
            epochs += await bundle(trainer, spec)
            await asyncio.sleep(0.002 * spec.seeds[0])
        return epochs

    async def main() -> None:
        trainer = Scripted(interval_s=0.01)
        await joined(trainer, *specs)
        found = await asyncio.gather(*(follow(trainer, spec) for spec in specs))
        assert found == [list(range(1, spec.epochs + 1)) for spec in specs]

    run(main)


def test_rows_do_not_wait_longer_than_the_interval_for_one_that_does_not_come():
    spec = tiny_job(epochs=100)

    async def main() -> None:
        trainer = Scripted(interval_s=0.3)
        trainer.most_epochs = 4
        await joined(trainer, spec)
        assert await bundle(trainer, spec) == [1, 2, 3, 4]
        request = asyncio.create_task(bundle(trainer, spec))  # nothing is there yet
        await asyncio.sleep(0.5)
        assert not request.done()
        trainer.most_epochs = 5
        trainer._wake.set()
        assert await request == [5], "later than the interval after the last bundle, so at once"

    run(main)


def test_what_a_training_breaks_at_is_raised_after_all_rows_before_it():
    spec, other = tiny_job(epochs=9), tiny_job(1, epochs=9)

    async def main() -> None:
        trainer = Scripted({spec.trial: (6, OSError("No space left on device"))}, interval_s=LONG_S)
        await joined(trainer, spec, other)
        assert await bundle(trainer, spec) == [1, 2, 3, 4, 5]
        with pytest.raises(OSError, match="No space left"):
            await bundle(trainer, spec)
        assert await bundle(trainer, other) == list(range(1, 10))
        assert spec.trial not in await trainer.trials()

    run(main)


def test_attempt_that_is_replaced_while_it_waits_hears_so_and_the_new_one_gets_its_rows():
    spec = tiny_job(epochs=9)

    async def main() -> None:
        trainer = Scripted(interval_s=LONG_S)
        trainer.most_epochs = 0
        await trainer.join(spec, "first", [None], None)
        request = asyncio.create_task(trainer.next_rows(spec.trial, "first"))
        await asyncio.sleep(0.05)
        trainer.most_epochs = None
        await trainer.join(spec, "second", [None], None)
        with pytest.raises(LookupError, match="another attempt at it has joined"):
            await request
        assert [row.epoch for row in await trainer.next_rows(spec.trial, "second")] == list(range(1, 10))

    run(main)


def test_trial_that_does_not_ask_keeps_no_rows_that_will_be_made_again():
    spec = tiny_job(epochs=100, rungs=(2,))

    async def main() -> None:
        trainer = Scripted(interval_s=LONG_S, lease_s=0.2)
        await joined(trainer, spec)
        assert await bundle(trainer, spec) == [1, 2]
        seat = trainer._seats[spec.trial]
        seat.packed = object()  # as if it were on a device
        trainer._packs = type("NoPacks", (), {"leave": lambda *_: None})()
        while trainer._seats[spec.trial] is seat:
            await asyncio.sleep(0.02)
        assert trainer._seats[spec.trial].at_rest and seat.buffer.due_in_s() is None
        trainer.made[spec.trial] = 0  # it goes on from a state, here from the start
        assert await bundle(trainer, spec) == [1, 2] and trainer._seats[spec.trial].buffer.recorded == 2

    run(main)

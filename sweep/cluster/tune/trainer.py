"""An actor that owns a device with its packs and images, and trains many trials on it at once.

The process of a Tune trial joins with its TrialSpec and requests one bundle of rows after the other. A request confirms
that the previous bundle is recorded and that the trial continues. So nothing is trained far ahead of ASHA's decisions,
see `RowBuffer`, and a trial that makes no more requests, because its process was killed, is detected. Training runs in
a separate thread, so that the actor can answer at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import ray

from aesweep.search.row_buffer import INTERVAL_S, RowBuffer
from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.artifacts import Files

if TYPE_CHECKING:
    from aesweep.training.pack_pool import Packs
    from aesweep.training.packed_trial import PackedTrial


@dataclasses.dataclass(eq=False)
class _Seat:
    """One attempt at a trial by a trainer.

    Attributes:
        spec: the trial to train.
        attempt: id of the attempt.
        images: reference to the trial's data set.
        files: storage for the trial's states and its checkpoint.
        buffer: rows that are made but not recorded yet.
        packed: the trial in its pack; None before it has joined one, and while the attempt is at rest after its lease.
        error: the exception with which the attempt ended, raised once all rows are returned; None where it goes on.
        changed: set where a pending request may have to be answered now, or at another time than before.
        waiting: whether a request for rows is pending.
        heard_at: time of the last request, by `time.monotonic`.
        at_rest: whether training is suspended until the next request.
    """

    spec: TrialSpec
    attempt: str
    images: ray.ObjectRef
    files: Files
    buffer: RowBuffer
    packed: PackedTrial | None = None
    error: Exception | None = None
    changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    waiting: bool = False
    heard_at: float = dataclasses.field(default_factory=time.monotonic)
    at_rest: bool = False

    def may_train(self) -> bool:
        return not self.at_rest and self.buffer.has_room

    def add(self, row: TrialRow | Exception) -> None:
        """Takes in what an epoch has given, a row or the exception that prevented one."""
        was_empty = self.buffer.due_in_s() is None
        if isinstance(row, Exception):
            self.error = row
        else:
            self.buffer.add(row)
        if was_empty or self.error is not None or self.buffer.is_due:
            self.changed.set()

    async def due(self) -> None:
        """Waits until rows are to be returned, or the exception."""
        while self.error is None and not self.buffer.is_due:
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), self.buffer.due_in_s())


class Trainer:
    """Trains the trials that join it, those of a kind as one pack.

    Args:
        lease_s: time without a request, in seconds, after which a trial's members leave the device. If the trial
            requests rows again, they resume from their newest state.
        interval_s: seconds between two bundles of a trial, see `RowBuffer`.
    """

    def __init__(self, lease_s: float = 300.0, interval_s: float = INTERVAL_S):
        self._interval_s = interval_s
        self._images: dict[ray.ObjectRef, Any] = {}
        self._lease_s = lease_s
        self._seats: dict[str, _Seat] = {}
        self._left: list[_Seat] = []
        self._packs: Packs | None = None
        self._thread = ThreadPoolExecutor(1)
        self._wake = asyncio.Event()
        self._training: asyncio.Task | None = None

    async def join(self, spec: TrialSpec, attempt: str, images: list[ray.ObjectRef], files: Files) -> None:
        """Adds an attempt at a trial, and ends any earlier attempt at it.

        Args:
            spec: the trial to train.
            attempt: unique id of the attempt.
            images: one reference to the trial's `ImageData` in the object store, in a list, because Ray would replace a
                bare reference by the data.
            files: storage for the trial's states and its checkpoint.
        """
        self._remove(spec.trial)
        self._seats[spec.trial] = _Seat(spec, attempt, images[0], files, RowBuffer(self._interval_s))
        if self._training is None:
            self._training = asyncio.get_running_loop().create_task(self._train())
        self._wake.set()

    async def next_rows(self, trial: str, attempt: str) -> list[TrialRow] | None:
        """Waits for the next bundle of an attempt; the call confirms that the attempt's previous bundle is recorded.

        Args:
            trial: id of the trial.
            attempt: id of the attempt.

        Returns:
            The rows, one at least; None where the trial is not known, because this actor has been restarted.

        Raises:
            LookupError: another attempt at the trial has joined.
            Exception: the exception that the training raised, after all rows before it.
        """
        seat = self._seats.get(trial)
        if seat is None:
            return None
        if seat.attempt != attempt:
            raise _replaced(trial)
        seat.buffer.confirm()
        seat.waiting, seat.at_rest = True, seat.error is not None
        self._wake.set()
        try:
            await seat.due()
        finally:
            seat.waiting, seat.heard_at = False, time.monotonic()
        if rows := seat.buffer.send():
            return rows
        error = seat.error
        await self.leave(trial, attempt)
        raise error

    async def leave(self, trial: str, attempt: str) -> None:
        """Ends an attempt, if it has not ended already."""
        if trial in self._seats and self._seats[trial].attempt == attempt:
            self._remove(trial)

    async def trials(self) -> dict[str, int]:
        """Returns the ids of the trials that have joined, with the number of epochs that each has been trained."""
        return {trial: seat.packed.epoch if seat.packed else 0 for trial, seat in self._seats.items()}

    def _remove(self, trial: str) -> None:
        seat = self._seats.pop(trial, None)
        if seat is not None:
            self._left.append(seat)
            seat.add(_replaced(trial))
            self._wake.set()

    def _rest(self) -> None:
        """Removes from the device the members of trials that have made no request for the time of the lease."""
        for trial, seat in list(self._seats.items()):
            unheard = not seat.waiting and time.monotonic() - seat.heard_at > self._lease_s
            if unheard and seat.packed is not None:
                seat.buffer.drop_waiting()  # they are trained again, from a state of a recorded epoch
                spec = dataclasses.replace(seat.spec, recorded=max(seat.spec.recorded, seat.buffer.recorded))
                self._left.append(seat)
                self._seats[trial] = dataclasses.replace(seat, spec=spec, packed=None, at_rest=True)

    async def _train(self) -> None:
        """Trains packs, one epoch at a time, as long as the actor lives."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            self._rest()
            left, self._left = self._left, []
            # The thread gets a snapshot, because trials join and make requests while it works.
            ready = {seat: seat.buffer.recorded for seat in self._seats.values() if seat.may_train()}
            try:
                made = await loop.run_in_executor(self._thread, self._step, left, ready)
            except Exception as error:
                made = [(seat, error) for seat in ready]
            for seat, row in made:
                seat.at_rest = isinstance(row, Exception)
                seat.add(row)
            if not made:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._lease_s / 4)

    def _step(self, left: list[_Seat], ready: dict[_Seat, int]) -> list[tuple[_Seat, TrialRow | Exception]]:
        """Removes the attempts that have left, adds new ones to packs, and trains one pack for an epoch.

        This method runs in the training thread.

        Args:
            left: attempts whose members are to leave the device.
            ready: attempts that may be trained, with the epoch up to which the rows of each are recorded.

        Returns:
            For each attempt that was trained, its row, or the exception that prevented one.
        """
        packs = self._packs or self._open()
        for seat in left:
            if seat.packed is not None:
                packs.leave(seat.packed)
        made: list[tuple[_Seat, TrialRow | Exception]] = []
        for seat, taken in ready.items():
            try:
                if seat.packed is None:
                    seat.packed = packs.join(seat.spec, self._loaded(seat.images), seat.files)
                seat.packed.taken(taken)
            except Exception as error:
                made.append((seat, error))
        seats = {seat.packed: seat for seat in ready if seat.packed is not None}
        return made + [(seats[packed], row) for packed, row in packs.train_epoch(seats.__contains__)]

    def _open(self) -> Packs:
        from aesweep.training.engine.precision import configure_torch
        from aesweep.training.pack_pool import Packs

        configure_torch(num_threads=1)
        self._packs = Packs()
        return self._packs

    def _loaded(self, reference: ray.ObjectRef) -> Any:
        if reference not in self._images:
            self._images[reference] = ray.get(reference)
        return self._images[reference]


def _replaced(trial: str) -> LookupError:
    return LookupError(f"{trial}: another attempt at it has joined its trainer, so this one is over")

"""An actor that owns a device: the packs and images on it, and the training of many trials at once.

A trial joins with its trial and asks for one row after the other; by asking it says that the row before is recorded and
that it goes on. So nothing is trained far ahead of ASHA's decisions, and a trial that does not ask any more, because
its process was killed, is noticed. Training has a thread of its own, so that the actor can answer at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import ray

from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.artifacts import Files

if TYPE_CHECKING:
    from aesweep.training.pack_pool import Packs
    from aesweep.training.packed_trial import PackedTrial

# How many of a trial's rows may be made that it has not taken: while one is on its way the next is trained.
MAX_AHEAD = 2


@dataclasses.dataclass(eq=False)
class _Seat:
    """An attempt of a trial at a trainer.

    Attributes:
        rows: made and not handed out yet; an exception where the training broke.
        handed: the epoch of the row that was handed out last.
        taken: the epoch up to which rows are recorded.
        waiting: whether the trial is asking for a row at this moment.
        heard_at: when it last asked.
        at_rest: whether nothing is trained until it asks again.
    """

    spec: TrialSpec
    attempt: str
    images: ray.ObjectRef
    files: Files
    packed: PackedTrial | None = None
    rows: asyncio.Queue[TrialRow | Exception] = dataclasses.field(default_factory=asyncio.Queue)
    handed: int = 0
    taken: int = 0
    waiting: bool = False
    heard_at: float = dataclasses.field(default_factory=time.monotonic)
    at_rest: bool = False

    def may_train(self) -> bool:
        return not self.at_rest and self.rows.qsize() + (self.handed > self.taken) < MAX_AHEAD


class Trainer:
    """Trains the trials of trials, those of a kind as one pack.

    Args:
        lease_s: the members of a trial that has not asked for so long leave the device. Should it ask again, they go on
            from their newest state.
    """

    def __init__(self, lease_s: float = 300.0):
        self._images: dict[ray.ObjectRef, Any] = {}
        self._lease_s = lease_s
        self._seats: dict[str, _Seat] = {}
        self._left: list[_Seat] = []
        self._packs: Packs | None = None
        self._thread = ThreadPoolExecutor(1)
        self._wake = asyncio.Event()
        self._training: asyncio.Task | None = None

    async def join(self, spec: TrialSpec, attempt: str, images: list[ray.ObjectRef], files: Files) -> None:
        """Takes up a trial; an earlier attempt at its trial is over.

        Args:
            spec: what to train.
            attempt: unique.
            images: of one, a reference to the trial's `ImageData` in the object store; in a list, lest Ray fetch it.
            files: where the states and the checkpoint go that the trial names.
        """
        self._remove(spec.trial)
        self._seats[spec.trial] = _Seat(spec, attempt, images[0], files)
        if self._training is None:
            self._training = asyncio.get_running_loop().create_task(self._train())
        self._wake.set()

    async def next_row(self, trial: str, attempt: str) -> TrialRow | None:
        """The next row of an attempt, whose last row is recorded by now.

        Returns:
            The row; None where the trial is not known, because this actor has been started anew.

        Raises:
            LookupError: another attempt at the trial has joined.
            Exception: what its training broke at.
        """
        seat = self._seats.get(trial)
        if seat is None:
            return None
        if seat.attempt != attempt:
            raise _replaced(trial)
        seat.taken, seat.waiting, seat.at_rest = max(seat.taken, seat.handed), True, False
        self._wake.set()
        try:
            row = await seat.rows.get()
        finally:
            seat.waiting, seat.heard_at = False, time.monotonic()
        if isinstance(row, Exception):
            await self.leave(trial, attempt)
            raise row
        seat.handed = row.epoch
        return row

    async def leave(self, trial: str, attempt: str) -> None:
        """Ends an attempt, if it is not over already."""
        if trial in self._seats and self._seats[trial].attempt == attempt:
            self._remove(trial)

    async def trials(self) -> dict[str, int]:
        """The trials that have joined, with the epochs that each has been trained so far."""
        return {trial: seat.packed.epoch if seat.packed else 0 for trial, seat in self._seats.items()}

    def _remove(self, trial: str) -> None:
        seat = self._seats.pop(trial, None)
        if seat is not None:
            self._left.append(seat)
            seat.rows.put_nowait(_replaced(trial))
            self._wake.set()

    def _rest(self) -> None:
        """Takes the members of trials off the device of which nothing has been heard for long."""
        for trial, seat in list(self._seats.items()):
            unheard = not seat.waiting and time.monotonic() - seat.heard_at > self._lease_s
            if unheard and seat.packed is not None:
                spec = dataclasses.replace(seat.spec, recorded=max(seat.spec.recorded, seat.taken))
                self._left.append(seat)
                self._seats[trial] = dataclasses.replace(seat, spec=spec, packed=None, at_rest=True)

    async def _train(self) -> None:
        """Trains as long as the actor lives."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            self._rest()
            left, self._left = self._left, []
            # What the thread is told is a snapshot: trials come and ask while it works.
            ready = {seat: seat.taken for seat in self._seats.values() if seat.may_train()}
            try:
                made = await loop.run_in_executor(self._thread, self._step, left, ready)
            except Exception as error:
                made = [(seat, error) for seat in ready]
            for seat, row in made:
                seat.at_rest = isinstance(row, Exception)
                seat.rows.put_nowait(row)
            if not made:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._lease_s / 4)

    def _step(self, left: list[_Seat], ready: dict[_Seat, int]) -> list[tuple[_Seat, TrialRow | Exception]]:
        """In the training thread: who has left goes, who is new comes, and one pack is trained for an epoch."""
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

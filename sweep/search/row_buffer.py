"""The rows of a trial from when they are made until they are recorded; they are sent to the driver in bundles.

A message from a trial to the driver costs far more than what the driver does with a row (docs/SCALING.md), so rows wait
for the next ones and are sent together. They wait neither long nor where something waits for them: a bundle is sent
once its last row is awaited (see `TrialRow.is_awaited`), or `INTERVAL_S` after the one before it, or once it is full.

The module does not depend on Ray.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from aesweep.search.trial_row import TrialRow

# Seconds between two bundles of a trial. It bounds how long a row waits, and so how much training goes unrecorded where
# a process is killed: little beside the age of the state that the trial goes on from. Longer epochs do not wait.
INTERVAL_S = 1.0
MOST_ROWS = 100  # in a bundle: one may be on its way while the next is filled, so it bounds what is kept in memory
# How many rows may be made from an awaited one on, itself included: while ASHA decides, the next epoch is trained.
MAX_AHEAD = 2


class RowBuffer:
    """The rows of one attempt at a trial that are made and not recorded yet.

    Args:
        interval_s: seconds between two bundles; 0 to send each row at once.
        clock: returns the time in seconds.

    Attributes:
        recorded: epoch up to which rows are recorded.
    """

    def __init__(self, interval_s: float = INTERVAL_S, clock: Callable[[], float] = time.monotonic):
        self._interval_s = interval_s
        self._clock = clock
        self._sent_at = clock()
        self._rows: list[TrialRow] = []  # in the order of their epochs; the first `_num_sent` are on their way
        self._num_sent = 0
        self.recorded = 0

    def add(self, row: TrialRow) -> None:
        """Adds a row that has been made."""
        self._rows.append(row)

    def due_in_s(self) -> float | None:
        """Returns in how many seconds the next bundle is to be sent, 0 for now; None where no row waits."""
        waiting = self._rows[self._num_sent :]
        if not waiting:
            return None
        if len(waiting) >= MOST_ROWS or any(row.is_awaited for row in waiting):
            return 0.0
        return max(0.0, self._sent_at + self._interval_s - self._clock())

    @property
    def is_due(self) -> bool:
        """Whether a bundle is to be sent now."""
        return self.due_in_s() == 0

    def send(self) -> list[TrialRow]:
        """Returns the next bundle, whether it is due or not: the waiting rows up to the first that is awaited."""
        waiting = self._rows[self._num_sent : self._num_sent + MOST_ROWS]
        length = next((number for number, row in enumerate(waiting, 1) if row.is_awaited), len(waiting))
        self._num_sent += length
        self._sent_at = self._clock()
        return waiting[:length]

    def confirm(self) -> None:
        """Notes that all rows that were sent are recorded, and that the trial goes on."""
        if self._num_sent:
            self.recorded = max(self.recorded, self._rows[self._num_sent - 1].epoch)
            del self._rows[: self._num_sent]
            self._num_sent = 0

    def drop_waiting(self) -> None:
        """Forgets the rows that were not sent; they are to be made again."""
        del self._rows[self._num_sent :]

    @property
    def has_room(self) -> bool:
        """Whether another row may be made before more of these are recorded."""
        awaited = next((number for number, row in enumerate(self._rows) if row.is_awaited), None)
        if awaited is not None:
            return len(self._rows) - awaited < MAX_AHEAD
        return len(self._rows) < 2 * MOST_ROWS

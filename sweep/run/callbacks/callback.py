"""The interface of what follows a run: the seam for exporters of one's own."""

from __future__ import annotations

from collections.abc import Sequence

from aesweep.storage.event import Event


class Callback:
    """Hears of a run's events. Each method does nothing unless a subclass says otherwise.

    A callback runs in the driver, between two events: what it raises ends the run, and what it takes long for holds up
    every trial.
    """

    def take_up(self, events: Sequence[Event]) -> None:
        """A stage, or the retraining, is taken up again; these of its events were recorded by earlier sessions."""

    def follow(self, event: Event) -> None:
        """One event has been recorded."""

"""The interface of callbacks, which follow a run: the extension point for additional exporters."""

from __future__ import annotations

from collections.abc import Sequence

from aesweep.storage.event import Event


class Callback:
    """Receives the events of a run. Each method does nothing unless a subclass overrides it.

    A callback runs in the driver, between two events: an exception that it raises ends the run, and the time that it
    takes delays every trial.
    """

    def take_up(self, events: Sequence[Event]) -> None:
        """Receives the events that earlier sessions recorded of a stage, or of the retraining, that is resumed."""

    def follow(self, event: Event) -> None:
        """Receives an event that has just been recorded."""

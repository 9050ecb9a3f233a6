"""The trials of a stage whose sampler learns: each is made, and recorded, when there is room for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from aesweep.search.samplers import registry
from aesweep.search.stages import Segment, sampler_seed, trial_created, trial_spec
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.event import Event
from aesweep.storage.run_state import RunState, TrialState
from aesweep.study.schema import Stage


class SuggestedTrials:
    """An iterator over the trials of a stage's open slots, see `aesweep.search.trial_queue.Suggestions`.

    Each suggestion follows from the events of the journal up to then alone.

    Args:
        segments: the stage's segments.
        state: the run's state, which holds what is recorded by now.
        record: appends an event to the journal.
        begin: opens a trial that is recorded, given the stage's settings, and returns it as a worker receives it.
        stop_requested: once it returns true, no further trial is made.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        state: RunState,
        record: Callable[[Event], Any],
        begin: Callable[[TrialSpec, Stage], TrialSpec],
        stop_requested: Callable[[], bool],
    ):
        self._slots = deque((segment, slot) for segment in segments for slot in segment.slots)
        self._state = state
        self._record = record
        self._begin = begin
        self._stop_requested = stop_requested

    def __len__(self) -> int:
        return len(self._slots)

    def __next__(self) -> TrialSpec:
        while self._slots and not self._stop_requested():
            segment, slot = self._slots.popleft()
            known = list(self._state.of(segment.name).values())
            seed = sampler_seed(segment.study, segment.name)
            sampler = registry.sampler_of(segment.stage, segment.bases[slot.dataset], seed)
            configuration = sampler.suggest(slot, known)
            if configuration is None:
                continue  # nothing is left to try there
            spec = trial_spec(segment.study, segment.name, slot, slot.number, configuration)
            self._record(trial_created(segment.name, spec, _basis(known)))
            return self._begin(spec, segment.stage)
        raise StopIteration


def _basis(known: Sequence[TrialState]) -> dict[str, int]:
    """Returns what is recorded of a suggestion's basis."""
    return {
        "rows": sum(len(trial.rows) for trial in known),
        "ends": sum(trial.status is not None for trial in known),
    }

"""Which trainer trains which trial. Imports no Ray."""

from __future__ import annotations

import math
from typing import Any

from aesweep.search.trial_spec import TrialSpec, pack_key


class Placement:
    """Trials and the trainers that they are with.

    Args:
        num_trainers: counted from 0.
        trials_per_trainer: the most that one takes.
        num_jobs: how many trials are to come: where they are few, each trainer takes its even share and no more.
    """

    def __init__(self, num_trainers: int, trials_per_trainer: int, num_trials: int):
        self._room = min(trials_per_trainer, math.ceil(num_trials / num_trainers))
        self._trainers: list[dict[str, Any]] = [{} for _ in range(num_trainers)]

    @property
    def num_places(self) -> int:
        """How many trials may be under training at once."""
        return self._room * len(self._trainers)

    def place(self, spec: TrialSpec) -> int:
        """The trainer of a trial: of those with room, one that has a pack of its kind, else the emptiest."""
        self.leave(spec)
        key = pack_key(spec)

        def preference(number: int) -> tuple[bool, bool, int, int]:
            trials = self._trainers[number]
            return (len(trials) >= self._room, key not in trials.values(), len(trials), number)

        best = min(range(len(self._trainers)), key=preference)
        self._trainers[best][spec.trial] = key
        return best

    def leave(self, spec: TrialSpec) -> None:
        """Hears that a trial is not under training any more."""
        for trials in self._trainers:
            trials.pop(spec.trial, None)

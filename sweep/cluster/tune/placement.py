"""Assignment of trials to trainers. The module does not import Ray."""

from __future__ import annotations

import math
from typing import Any

from aesweep.search.trial_spec import TrialSpec, pack_key


class Placement:
    """The trials under training and the trainers that they are assigned to.

    Args:
        num_trainers: number of trainers; they are numbered from 0.
        trials_per_trainer: how many trials a trainer takes at most.
        num_trials: number of trials in the batch; where they are few, each trainer takes at most an even share.
    """

    def __init__(self, num_trainers: int, trials_per_trainer: int, num_trials: int):
        self._room = min(trials_per_trainer, math.ceil(num_trials / num_trainers))
        self._trainers: list[dict[str, Any]] = [{} for _ in range(num_trainers)]

    @property
    def num_places(self) -> int:
        """How many trials can be under training at once."""
        return self._room * len(self._trainers)

    def place(self, spec: TrialSpec) -> int:
        """Assigns a trial to a trainer with room, of these to one that has a pack of its kind, else to the emptiest.

        Returns:
            The trainer's number.
        """
        self.leave(spec)
        key = pack_key(spec)

        def preference(number: int) -> tuple[bool, bool, int, int]:
            trials = self._trainers[number]
            return (len(trials) >= self._room, key not in trials.values(), len(trials), number)

        best = min(range(len(self._trainers)), key=preference)
        self._trainers[best][spec.trial] = key
        return best

    def leave(self, spec: TrialSpec) -> None:
        """Removes a trial that is no longer training."""
        for trials in self._trainers:
            trials.pop(spec.trial, None)

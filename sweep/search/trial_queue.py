"""The trials of a stage that wait for room, in order: those that are known, then those that a sampler suggests."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

from aesweep.search.trial_spec import TrialSpec


class Suggestions(Protocol):
    """Trials that are made one at a time, when there is room for them; `len` tells how many may still follow."""

    def __next__(self) -> TrialSpec: ...

    def __len__(self) -> int: ...


class TrialQueue(Iterator[TrialSpec]):
    """An iterator over trials, which is asked for the next one when there is room for it.

    Args:
        known: the trials that are known, which the recorder has opened.
        suggestions: makes the trials that follow them, and opens each; None where none follow.
    """

    def __init__(self, known: Iterable[TrialSpec], suggestions: Suggestions | None = None):
        self._known = deque(known)
        self._suggestions = suggestions

    def __next__(self) -> TrialSpec:
        if self._known:
            return self._known.popleft()
        if self._suggestions is None:
            raise StopIteration
        return next(self._suggestions)

    def __len__(self) -> int:
        """Returns how many trials wait, or may still be suggested."""
        return len(self._known) + (0 if self._suggestions is None else len(self._suggestions))

    @property
    def is_learning(self) -> bool:
        """Whether trials may follow that depend on what others measure, so that none is taken before there is room."""
        return self._suggestions is not None and len(self._suggestions) > 0

    def replace_known(self, known: Iterable[TrialSpec]) -> None:
        """Puts other trials in the place of the known ones; suggestions still follow them."""
        self._known = deque(known)

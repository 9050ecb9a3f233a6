"""The seam behind which a stage's configurations are chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Protocol

from aesweep.search.samplers.slot import Slot
from aesweep.storage.run_state import TrialState
from aesweep.study.configuration import Configuration
from aesweep.study.schema import Stage


class Sampler(Protocol):
    """Chooses the configurations of a stage on one data set, one slot after the other.

    It keeps no state between two suggestions: the same slot and the same known trials give the same suggestion, so that
    a resumed run goes on with the suggestions that it would have had, and `aesweep extend` with more slots.

    Attributes:
        learns: whether suggestions depend on what is known. Where they do not, all trials of a stage are created at its
            start; where they do, each is created when there is room for it.
    """

    learns: ClassVar[bool]

    def __init__(self, stage: Stage, base: Configuration | None, seed: str):
        """Args:
        stage: the stage's settings.
        base: the configuration from which unset fields are taken; None for the defaults of `Configuration`.
        seed: text from which everything random follows.
        """

    def suggest(self, slot: Slot, known: Sequence[TrialState]) -> Configuration | None:
        """Returns a configuration for a slot; None where nothing is left to try. One that is there already is dropped.

        Args:
            slot: the slot; `Template.complete` makes a configuration of it.
            known: all trials of the stage so far, on every data set, in the order of their creation, with each row and
                each end that is recorded. Empty where the sampler does not learn.
        """


def all_suggestions(sampler: Sampler, slots: Iterable[Slot]) -> Iterator[tuple[Slot, Configuration]]:
    """Yields the distinct suggestions of a sampler that does not learn, each with the first slot that it is for."""
    seen = set()
    for slot in slots:
        configuration = sampler.suggest(slot, ())
        if configuration is not None and configuration not in seen:
            seen.add(configuration)
            yield slot, configuration

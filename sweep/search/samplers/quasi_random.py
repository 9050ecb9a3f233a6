"""Draws configurations that spread evenly over the search space, whatever the trials measure.

Draws follow a Richtmyer sequence (multiples of square roots of primes, modulo one, under a random shift), which spreads
few samples more evenly than independent draws do and continues where it stopped when samples are added. Sample i has
the same draws in every cell, so that cells are compared on the same learning rates and differ only in the table's axes.
Source: Niederreiter, Random Number Generation and Quasi-Monte Carlo Methods, SIAM 1992, on Kronecker sequences.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from aesweep.search.samplers.slot import Slot, Template
from aesweep.storage.run_state import TrialState
from aesweep.study.configuration import FIELDS, Configuration
from aesweep.study.schema import Stage

# Settings of a package's family take the primes from this place on, whatever fields a later version adds.
FIRST_SETTING = 100


class QuasiRandom:
    """The sampler `quasi_random`, see `aesweep.search.samplers.sampler.Sampler`."""

    learns = False

    def __init__(self, stage: Stage, base: Configuration | None, seed: str):
        self._template = Template(stage.space, base)
        self._positions = Positions(seed, stage.space.axes())

    def suggest(self, slot: Slot, known: Sequence[TrialState]) -> Configuration:
        return self._template.complete(slot, lambda name, axis: axis.at(self._positions.at(name, slot.sample)))


def primes() -> Iterator[int]:
    """Yields 2, 3, 5, 7, ...: each field of a configuration has the prime of its place."""
    return (number for number in itertools.count(2) if all(number % divisor for divisor in range(2, number)))


class Positions:
    """The points of the sequence, in the unit cube with a side for each field of a configuration.

    Args:
        seed: text from which the random shift follows.
        axes: names of the space's axes; the settings of a package's family among them have sides of their own.
    """

    _ROOTS: ClassVar = {name: math.sqrt(prime) for name, prime in zip(FIELDS, primes(), strict=False)}

    def __init__(self, seed: str, axes: Iterable[str] = ()):
        settings = sorted({*axes} - {*FIELDS})
        further = itertools.islice(primes(), FIRST_SETTING, None)
        self._roots = self._ROOTS | {name: math.sqrt(next(further)) for name in settings}
        self._shift = {name: random.Random(f"{seed}/{name}").random() for name in self._roots}  # noqa: S311 - not for secrets

    def at(self, field: str, number: int) -> float:
        """Returns the position in [0, 1) along one side of a point, by the point's number from 0."""
        return (self._shift[field] + (number + 1) * self._roots[field]) % 1.0

"""Chooses the configurations of a stage from its search space alone: crossed grids, and draws that spread evenly.

Draws follow a Richtmyer sequence (multiples of square roots of primes, modulo one, under a random shift), which spreads
few samples more evenly than independent draws do and continues where it stopped when samples are added. Sample i has
the same draws in every cell, so that cells are compared on the same learning rates and differ only in the table's axes.
Source: Niederreiter, Random Number Generation and Quasi-Monte Carlo Methods, SIAM 1992, on Kronecker sequences.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from typing import Any

from aesweep.study.axis import Axis
from aesweep.study.configuration import DERIVED, FIELDS, OPTION, REGULARIZERS, STRENGTHS, Configuration
from aesweep.study.search_space import SearchSpace

# Settings of a package's family take the primes from this place on, whatever fields a later version adds.
FIRST_OPTION = 100


def primes() -> Iterator[int]:
    """Yields 2, 3, 5, 7, ...: each field of a configuration has the prime of its place."""
    return (number for number in itertools.count(2) if all(number % divisor for divisor in range(2, number)))


def draw(space: SearchSpace, num_samples: int, seed: str, base: Configuration | None) -> Iterator[Configuration]:
    """Yields the configurations of a stage in the order in which they should start: sample by sample.

    Args:
        space: the axes; grids are crossed with each other.
        num_samples: number of draws per point of the grids. A point without random axes is yielded once.
        seed: text from which the draws' random shift follows.
        base: the configuration from which unset fields are taken; None for the defaults of `Configuration`, in which
            case the space must set the hidden layers and the latent dimension.
    """
    axes = space.axes()
    settings = sorted(axes.keys() - {*FIELDS})
    prime_of = dict(zip(FIELDS, primes(), strict=False))
    prime_of |= dict(zip(settings, itertools.islice(primes(), FIRST_OPTION, None), strict=False))
    shift = {name: random.Random(f"{seed}/{name}").random() for name in prime_of}  # noqa: S311 - not for secrets
    grids = [name for name, axis in axes.items() if axis.grid and not axis.when]
    start = base.as_dict() if base else {}
    if "regularizer" in axes:
        start.update(dict.fromkeys(STRENGTHS, 0.0))
    if "family" in axes or not base:
        # A family's own fields, and the layers, are given with the family; what is not given has its default.
        start = {name: value for name, value in start.items() if name not in DERIVED["model"]}
        start["hidden_layers"] = []
    if "code" in axes:
        start.pop("beta", None)
    seen = set()
    for sample in range(num_samples):
        position = {name: (shift[name] + (sample + 1) * math.sqrt(prime)) % 1.0 for name, prime in prime_of.items()}
        for point in itertools.product(*(axes[name].grid for name in grids)):
            values = dict(zip(grids, point, strict=True))
            for branch in _branches(axes, values, position):
                configuration = Configuration.from_dict(_labelled(_gathered({**start, **branch}), axes))
                if configuration not in seen:
                    seen.add(configuration)
                    yield configuration


def _branches(axes: dict[str, Axis], values: dict[str, Any], position: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Completes a point of the unconditional grids with constants and draws; conditional grids yield several points."""
    pending = [values]
    for name, axis in axes.items():
        if name in values:
            continue
        grown = []
        for branch in pending:
            if not axis.applies(branch):
                grown.append(branch)
            elif axis.is_random:
                grown.append({**branch, name: axis.at(position[name])})
            else:
                grown.extend({**branch, name: option} for option in axis.options)
        pending = grown
    yield from pending


def _gathered(values: dict[str, Any]) -> dict[str, Any]:
    """Puts the values of a package's settings, which were drawn one by one, into the field `options`."""
    options = {name.removeprefix(OPTION): value for name, value in values.items() if name.startswith(OPTION)}
    others = {name: value for name, value in values.items() if not name.startswith(OPTION)}
    return {**others, "options": options} if options else others


def _labelled(values: dict[str, Any], axes: dict[str, Axis]) -> dict[str, Any]:
    """Names the regularizer after the strengths where the space sets strengths alone."""
    if "regularizer" in axes or not any(strength in axes for strength in STRENGTHS):
        return values
    used = tuple(strength for strength in STRENGTHS if values.get(strength))
    label = next((name for name, needs in REGULARIZERS.items() if needs == used), "+".join(used))
    return {**values, "regularizer": label}

"""Which sampler chooses the configurations of a stage: a new sampler is chosen here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from aesweep.search.samplers import quasi_random
from aesweep.study.configuration import Configuration
from aesweep.study.schema import Stage
from aesweep.study.search_space import SearchSpace


class Sampler(Protocol):
    """Yields the configurations of a stage on one data set in the order in which they should start.

    It must yield the same for the same arguments, since a resumed run asks it again, and continue where it stopped for
    a larger number of samples, since `aesweep extend` asks for more.
    """

    def __call__(
        self, space: SearchSpace, num_samples: int, seed: str, base: Configuration | None
    ) -> Iterator[Configuration]:
        """Yields configurations.

        Args:
            space: the stage's axes.
            num_samples: samples in each cell of the stage's table.
            seed: text from which everything random follows.
            base: the configuration from which unset fields are taken; None for the defaults.
        """


def sampler_of(stage: Stage) -> Sampler:
    """Returns the sampler of a stage."""
    return quasi_random.draw

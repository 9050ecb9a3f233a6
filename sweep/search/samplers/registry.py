"""Which sampler chooses the configurations of a stage: a new sampler is added here, and to the schema's names."""

from __future__ import annotations

from aesweep.search.samplers.quasi_random import QuasiRandom
from aesweep.search.samplers.sampler import Sampler
from aesweep.search.samplers.tpe import Tpe
from aesweep.study.configuration import Configuration
from aesweep.study.schema import Stage

SAMPLERS: dict[str, type[Sampler]] = {"quasi_random": QuasiRandom, "tpe": Tpe}


def sampler_of(stage: Stage, base: Configuration | None, seed: str) -> Sampler:
    """Returns the sampler of a stage on one data set, see `Sampler`."""
    return SAMPLERS[stage.sampler.name](stage, base, seed)


def learns(stage: Stage) -> bool:
    """Returns whether the stage's configurations depend on what its earlier trials measured."""
    return SAMPLERS[stage.sampler.name].learns

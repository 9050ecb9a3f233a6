"""On what trials train, as a study file says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field, WrapSerializer, WrapValidator, model_validator

from aesweep.study.axis import Real, Whole
from aesweep.study.search_settings import Strict

AUTO = "auto"


def _trainers(given: Any, validated: Callable[[Any], int]) -> int | str:
    if isinstance(given, str) and given != AUTO:
        raise ValueError(f"expected {AUTO} or a whole number; got {given[:80]!r}")
    return given if given == AUTO else validated(given)


# A union of types would word a fault once for each of them.
AutoOrWhole = Annotated[
    Whole,
    Field(ge=0, le=10_000),
    WrapValidator(_trainers),
    WrapSerializer(lambda value, serialized: value if value == AUTO else serialized(value)),
]


class Resources(Strict):
    """The resources on which trials train; the word `auto` alone stands for the defaults.

    Without trainers, each trial trains in a separate process and holds a CPU core and `gpus_per_trial`. Each trainer
    holds a CPU core and `gpus_per_trainer`, and trains up to `trials_per_trainer` trials at once, as packs. How many
    trainers there are, and whether there are any, is decided when a run begins where `trainers` is "auto", see
    `aesweep.run.preflight.device_choice`. It is, unless `gpus_per_trial` says that there are none.
    """

    gpus_per_trial: Annotated[Real, Field(ge=0)] = 0
    trainers: AutoOrWhole = AUTO
    gpus_per_trainer: Annotated[Real, Field(ge=0)] = 1
    trials_per_trainer: Annotated[Whole, Field(ge=1, le=1000)] = 16

    @property
    def is_auto(self) -> bool:
        """Whether it is still to be decided what trains."""
        return self.trainers == AUTO

    @property
    def least_gpus(self) -> float:
        """The number of GPUs without which nothing can be trained: those of one trial, or of all trainers together."""
        if self.is_auto:
            return 0
        return self.trainers * self.gpus_per_trainer if self.trainers else self.gpus_per_trial

    @model_validator(mode="before")
    @classmethod
    def _by_word(cls, given: Any) -> Any:
        if not isinstance(given, (dict, Resources)) and given != AUTO:
            raise ValueError(f"expected {AUTO}, or a mapping; got {str(given)[:80]!r}")
        if isinstance(given, dict) and "gpus_per_trial" in given:
            return {"trainers": 0, **given}
        return {} if given == AUTO else given

    @model_validator(mode="after")
    def _consistent(self) -> Resources:
        if self.is_auto and self.gpus_per_trainer == 0:
            raise ValueError("gpus_per_trainer is 0, so there is no GPU to look for: give a number of trainers as well")
        if self.trainers and self.gpus_per_trial:
            raise ValueError(
                "gpus_per_trial is for trials without trainers, which hold gpus_per_trainer; leave one out"
            )
        return self

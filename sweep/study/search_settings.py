"""How a stage chooses its configurations, and which trials it stops early, as a study file says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WrapSerializer, WrapValidator, model_validator

from aesweep.study.axis import Real, Whole

# `aesweep.search.samplers.registry` has the class of each.
SAMPLERS = ("quasi_random", "tpe")


class Strict(BaseModel):
    """A part of a study, in which an unknown key is a fault."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Asha(Strict):
    """Asynchronous successive halving (Li et al., MLSys 2020), within each cell.

    With a `significance`, a trial is stopped only where it is worse by more than its seeds' spread explains, see
    `aesweep.search.schedulers.asha`. With `brackets`, a cell's trials are dealt to so many brackets, each of which is
    first compared a rung later, see `aesweep.search.schedulers.brackets`. With an `audit`, that share of the stopped
    trials is trained to the end out of competition, see `aesweep.search.schedulers.audit`.
    """

    grace_period: Annotated[Whole, Field(ge=1)] = 1
    # With a factor next to 1, every epoch would be a rung, and finding that out would take millions of steps.
    reduction_factor: Annotated[Real, Field(ge=1.01)] = 3
    significance: Annotated[Real, Field(gt=0, lt=0.5)] | None = None
    brackets: Annotated[Whole, Field(ge=1)] | None = None
    audit: Annotated[Real, Field(gt=0, le=1)] | None = None


def _asha(given: Any, validated: Callable[[Any], Asha]) -> Asha | str:
    if given == "none":
        return given
    if not isinstance(given, (dict, Asha)):
        raise ValueError(f"expected none, or a mapping with grace_period and reduction_factor; got {str(given)[:80]!r}")
    return validated(given)


# Without ASHA every trial is trained to its end. A union of types would word a fault once for each of them.
AshaOrNone = Annotated[
    Asha,
    WrapValidator(_asha),
    WrapSerializer(lambda value, serialized: value if value == "none" else serialized(value)),
]


class Sampler(Strict):
    """What chooses a stage's configurations; its name alone stands for it as well.

    Where it learns, `shared` says whether the cells learn from each other; by default they do.
    """

    name: Literal[SAMPLERS] = "quasi_random"
    shared: Annotated[bool, Field(strict=True)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        if not isinstance(given, (str, dict, Sampler)):
            raise ValueError(f"expected {' or '.join(SAMPLERS)}; got {str(given)[:80]!r}")
        return {"name": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _consistent(self) -> Sampler:
        if self.name == "quasi_random" and self.shared is not None:
            raise ValueError("shared is for a sampler that learns, such as tpe; quasi_random does not: leave it out")
        if self.name == "tpe" and self.shared is None:
            self.shared = True
        return self

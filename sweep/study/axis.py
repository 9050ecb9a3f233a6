"""An axis of a search space, and the types of the numbers in a study.

An axis is a constant, a grid (every value is tried), or a draw (choice, uniform, log-uniform), and may depend on the
values of other axes.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

Value = TypeVar("Value")
# Every number of a study is of one of these two strict types: YAML's `yes` and `on`, texts of digits and, where a whole
# number is expected, 3.0 are errors. tests/study/test_values_as_written.py walks the schema for numbers of other types.
Whole = Annotated[int, Field(strict=True)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Axis(BaseModel, Generic[Value]):
    """The values that one field of a configuration may take.

    Exactly one of the five ways to give them is set. `when` maps other axes to the values, or lists of values, under
    which the axis applies.
    """

    model_config = ConfigDict(extra="forbid")

    value: Value | None = None
    grid: Annotated[list[Value], Field(min_length=1)] | None = None
    choice: Annotated[list[Value], Field(min_length=1)] | None = None
    uniform: tuple[Value, Value] | None = None
    log_uniform: tuple[Value, Value] | None = None
    when: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _constant(cls, given: Any) -> Any:
        return given if isinstance(given, (dict, Axis)) else {"value": given}

    @model_validator(mode="after")
    def _one_way(self) -> Axis[Value]:
        ways = [way for way in ("value", "grid", "choice", "uniform", "log_uniform") if getattr(self, way) is not None]
        if len(ways) != 1:
            raise ValueError(
                "expected exactly one of value, grid, choice, uniform, log_uniform; "
                f"got {' and '.join(ways) or 'none of them'}"
            )
        interval = self.uniform or self.log_uniform
        if interval:
            low, high = interval
            if not all(isinstance(bound, float) for bound in interval):
                raise ValueError(f"{ways[0]} is for real numbers; list the values under choice or grid")
            if not low < high:
                raise ValueError(f"{ways[0]} expects [low, high] with low < high, got {list(interval)}")
            if self.log_uniform and low <= 0:
                raise ValueError(f"log_uniform expects bounds above 0, got {list(interval)}")
        options = self.grid or self.choice
        if options and len({str(option) for option in options}) < len(options):
            raise ValueError(f"{ways[0]} holds a value twice: {options}")
        return self

    @property
    def is_random(self) -> bool:
        return self.choice is not None or self.uniform is not None or self.log_uniform is not None

    @property
    def options(self) -> list[Value]:
        """The values of a constant, a grid or a choice; an empty list for an interval."""
        if self.value is not None:
            return [self.value]
        return self.grid or self.choice or []

    @property
    def values(self) -> list[Value]:
        """The values of a constant, a grid or a choice; of an interval its ends."""
        return self.options or [*(self.uniform or self.log_uniform)]

    def at(self, position: float) -> Value:
        """Returns the value of a random axis at a position in [0, 1)."""
        if self.choice:
            return self.choice[int(position * len(self.choice))]
        if self.uniform:
            low, high = self.uniform
            return low + position * (high - low)
        low, high = self.log_uniform
        return math.exp(math.log(low) + position * (math.log(high) - math.log(low)))

    def applies(self, values: dict[str, Any]) -> bool:
        """Returns whether the condition holds for the values chosen so far."""
        return all(
            as_listed(values.get(name)) in (wanted if isinstance(wanted, list) else [wanted])
            for name, wanted in self.when.items()
        )


def as_listed(value: Any) -> Any:
    """Returns a tuple as a list, as it is written in a study, and other values as they are."""
    return list(value) if isinstance(value, tuple) else value

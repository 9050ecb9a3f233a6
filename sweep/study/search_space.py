"""The search space of a stage: an axis for each field of a configuration.

An axis is a constant, a grid (every value is tried), or a draw (choice, uniform, log-uniform), and may depend on the
values of other axes. `aesweep.search.samplers` draws the points.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aesweep.models.installed import option_faults
from aesweep.study.configuration import (
    ACTIVATIONS,
    CODES,
    FAMILY_FIELDS,
    FIELDS,
    INITIALIZATIONS,
    LIKELIHOODS,
    NEEDED_BY_FAMILY,
    NORMALIZATIONS,
    OUTPUTS,
    REGULARIZERS,
    SCHEDULES,
    STRENGTHS,
)

Value = TypeVar("Value")
# Every number of a study is of one of these two strict types: YAML's `yes` and `on`, texts of digits and, where a whole
# number is expected, 3.0 are errors. tests/study/test_study.py walks the schema for numbers of other types.
Whole = Annotated[int, Field(strict=True)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Count = Annotated[Whole, Field(ge=1, le=65536)]
Widths = Annotated[list[Count], Field(max_length=16)]
Channels = Annotated[list[Count], Field(min_length=1, max_length=8)]
Kernel = Annotated[Whole, Field(ge=2, le=64)]
FamilyName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
Rate = Annotated[Real, Field(ge=0, lt=1)]


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
            _jsonable(values.get(name)) in (wanted if isinstance(wanted, list) else [wanted])
            for name, wanted in self.when.items()
        )


class SearchSpace(BaseModel):
    """An axis for each field of a configuration that the stage sets; the others keep the values they start from."""

    model_config = ConfigDict(extra="forbid")

    hidden_layers: Axis[Widths] | None = None
    latent_dim: Axis[Count] | None = None
    activation: Axis[Literal[ACTIVATIONS]] | None = None
    output: Axis[Literal[OUTPUTS]] | None = None
    initialization: Axis[Literal[INITIALIZATIONS]] | None = None
    learning_rate: Axis[Positive] | None = None
    schedule: Axis[Literal[SCHEDULES]] | None = None
    batch_size: Axis[Count] | None = None
    regularizer: Axis[Literal[tuple(REGULARIZERS)]] | None = None
    l1: Axis[NonNegative] | None = None
    l2: Axis[NonNegative] | None = None
    weight_decay: Axis[NonNegative] | None = None
    dropout: Axis[Rate] | None = None
    sparse_code: Axis[NonNegative] | None = None
    noise_variance: Axis[NonNegative] | None = None
    family: Axis[FamilyName] | None = None
    channels: Axis[Channels] | None = None
    kernel_size: Axis[Kernel] | None = None
    normalization: Axis[Literal[NORMALIZATIONS]] | None = None
    code: Axis[Literal[CODES]] | None = None
    beta: Axis[NonNegative] | None = None
    likelihood: Axis[Literal[LIKELIHOODS]] | None = None
    options: Axis[dict[FamilyName, Any]] | None = None

    def axes(self) -> dict[str, Axis]:
        """Returns the axes that are set, with the unconditional ones before those that depend on them."""
        given = {name: getattr(self, name) for name in FIELDS if getattr(self, name) is not None}
        return dict(sorted(given.items(), key=lambda item: bool(item[1].when)))

    @model_validator(mode="after")
    def _consistent(self) -> SearchSpace:
        faults = self._condition_faults()
        if self.regularizer is not None and not faults:
            faults = self._strength_faults()
        if not faults:
            faults = [*self._family_faults(), *self._code_faults()]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _condition_faults(self) -> list[str]:
        axes, faults = self.axes(), []
        for name, axis in axes.items():
            for other, wanted in axis.when.items():
                if other not in axes:
                    faults.append(f"{name}.when names {other!r}, which is not an axis of this space")
                elif axes[other].when or not axes[other].options:
                    faults.append(f"{name}.when.{other}: expected an unconditional axis with listed values")
                else:
                    known = [_jsonable(option) for option in axes[other].options]
                    unknown = [
                        value
                        for value in (wanted if isinstance(wanted, list) else [wanted])
                        if not any(_is_same(value, option) for option in known)
                    ]
                    if unknown:
                        faults.append(f"{name}.when.{other}: {unknown} is not among its values {known}")
        return faults

    def _strength_faults(self) -> list[str]:
        axes, faults = self.axes(), []
        for regularizer in self.regularizer.options:
            for strength in STRENGTHS:
                needed = strength in REGULARIZERS[regularizer]
                given = strength in axes and axes[strength].applies({"regularizer": regularizer})
                if needed and not given:
                    faults.append(f"regularizer {regularizer} needs a strength: add {strength} to the space")
                if given and not needed:
                    faults.append(
                        f"{strength} applies under regularizer {regularizer}, which does not use it: "
                        f"add `when: {{regularizer: [...]}}` to {strength}"
                    )
        return faults

    def _family_faults(self) -> list[str]:
        axes, faults = self.axes(), []
        if self.family is None:
            owners = {name: family for family, names in FAMILY_FIELDS.items() for name in names}
            owners["options"] = "a package's"
            return [
                f"{name} is for {owners[name]} models: add `family` to the space" for name in axes if name in owners
            ]
        for family in self.family.options:
            faults += self._option_faults(family)
            for name in NEEDED_BY_FAMILY.get(family, ()):
                if name not in axes or not _under(axes[name], family):
                    faults.append(f"family {family} needs {name} in the space")
            for other, names in FAMILY_FIELDS.items():
                faults += [
                    f"{name} applies under family {family}, which does not use it: "
                    f"add `when: {{family: {other}}}` to {name}"
                    for name in names
                    if other != family and name in axes and _under(axes[name], family)
                ]
        return faults

    def _option_faults(self, family: str) -> list[str]:
        """Returns what is wrong with the options of one family: those of the project's own have none."""
        given = self.options if self.options is not None and _under(self.options, family) else None
        if family not in FAMILY_FIELDS:
            return [fault for values in (given.options if given else [{}]) for fault in option_faults(family, values)]
        if given is None:
            return []
        return [f"options applies under family {family}, which has none: add `when: {{family: ...}}` to options"]

    def _code_faults(self) -> list[str]:
        if self.beta is None:
            return []
        if self.code is None or "variational" not in self.code.options:
            return ["beta is the weight of a variational code's divergence: add `code: variational` to the space"]
        if "plain" in self.code.options and "plain" in _wanted(self.beta, "code", "plain"):
            return ["beta applies under code plain, which does not use it: add `when: {code: variational}` to beta"]
        return []


def _wanted(axis: Axis, name: str, default: str) -> list[Any]:
    """Returns the values of another axis under which an axis applies; the default where it does not depend on it."""
    wanted = axis.when.get(name, default)
    return wanted if isinstance(wanted, list) else [wanted]


def _under(axis: Axis, family: str) -> bool:
    """Returns whether an axis may apply under a family, whatever else it depends on."""
    return family in _wanted(axis, "family", family)


def _is_same(written: Any, option: Any) -> bool:
    """Returns whether a condition's value equals an axis's option, and in its type too: in Python, True == 1 == 1.0."""
    if isinstance(option, list):
        return (
            isinstance(written, list)
            and len(written) == len(option)
            and all(_is_same(*pair) for pair in zip(written, option, strict=True))
        )
    is_kind = type(written) is type(option) or (type(written) is int and isinstance(option, float))
    return is_kind and written == option


def _jsonable(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

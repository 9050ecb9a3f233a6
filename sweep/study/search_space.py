"""The search space of a stage: an axis for each field of a configuration.

`aesweep.search.samplers` draws the points.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from aesweep.models.installed import option_faults
from aesweep.study.axis import Axis, Real, Whole, as_listed
from aesweep.study.configuration import (
    ACTIVATIONS,
    CODES,
    FAMILY_FIELDS,
    FIELDS,
    INITIALIZATIONS,
    LIKELIHOODS,
    NEEDED_BY_FAMILY,
    NORMALIZATIONS,
    OPTION,
    OUTPUTS,
    REGULARIZERS,
    SCHEDULES,
    STRENGTHS,
    field_of,
)

Count = Annotated[Whole, Field(ge=1, le=65536)]
Widths = Annotated[list[Count], Field(max_length=16)]
Channels = Annotated[list[Count], Field(min_length=1, max_length=8)]
Kernel = Annotated[Whole, Field(ge=2, le=64)]
FamilyName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
Rate = Annotated[Real, Field(ge=0, lt=1)]


# How the settings of a package's family are given: as one axis of mappings, or as a mapping with an axis for each.
# pydantic puts the name of the form into the place of a fault.
WHOLE, EACH = "options as a whole", "options each"


def _form(given: Any) -> str:
    is_each = isinstance(given, dict) and not {"value", "grid", "choice", "uniform", "log_uniform"} & given.keys()
    return EACH if is_each else WHOLE


def _with_common_condition(given: dict[str, Any]) -> dict[str, Any]:
    """Moves a `when` that stands beside the axes into each of them, and takes whole numbers as ends of intervals."""
    common = {"when": given["when"]} if "when" in given else {}
    found = {}
    for name, axis in given.items():
        if name == "when":
            continue
        if isinstance(axis, Axis):
            found[name] = axis
            continue
        values = {**(axis if isinstance(axis, dict) else {"value": axis})}
        if common:
            own = values.get("when", {})
            are_mappings = isinstance(own, dict) and isinstance(common["when"], dict)
            values["when"] = {**common["when"], **own} if are_mappings else common["when"]
        for way in {"uniform", "log_uniform"} & values.keys():
            if isinstance(values[way], list):
                values[way] = [float(end) if type(end) is int else end for end in values[way]]
        found[name] = values
    return found


Options = Annotated[
    Annotated[Axis[dict[FamilyName, Any]], Tag(WHOLE)]
    | Annotated[dict[FamilyName, Axis[Any]], BeforeValidator(_with_common_condition), Tag(EACH)],
    Discriminator(_form),
]


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
    options: Options | None = None

    def axes(self) -> dict[str, Axis]:
        """Returns the axes that are set, with the unconditional ones before those that depend on them.

        An axis of one setting of a package's family is named "options.<setting>".
        """
        given = {name: getattr(self, name) for name in FIELDS if getattr(self, name) is not None}
        if isinstance(self.options, dict):
            del given["options"]
            given |= {f"{OPTION}{name}": axis for name, axis in self.options.items()}
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
                    known = [as_listed(option) for option in axes[other].options]
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
            named = dict.fromkeys(field_of(name) for name in axes)
            return [
                f"{name} is for {owners[name]} models: add `family` to the space" for name in named if name in owners
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
        given = {
            name: axis for name, axis in self.axes().items() if field_of(name) == "options" and _under(axis, family)
        }
        if family in FAMILY_FIELDS:
            fault = f"options applies under family {family}, which has none: add `when: {{family: ...}}` to options"
            return [fault] if given else []
        faults = [
            f"{name}.when: family {family} needs its settings in every trial, so the condition may name family alone"
            for name, axis in given.items()
            if axis.when.keys() - {"family"}
        ]
        if "options" in given:
            choices = [{name: [value] for name, value in values.items()} for values in given["options"].options]
        else:
            choices = [{name.removeprefix(OPTION): axis.values for name, axis in given.items()}]
        return faults + [fault for values in choices for fault in option_faults(family, values)]

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

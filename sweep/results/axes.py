"""What a stage searched: each axis with its values, or the interval from which they were drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from aesweep.report.rows.names import axis_value
from aesweep.results.columns import setting_kind
from aesweep.study.configuration import OPTION, Configuration

_WAYS = ("value", "grid", "choice", "uniform", "log_uniform")


@dataclasses.dataclass(frozen=True)
class Axis:
    """An axis of a stage's search space.

    Attributes:
        name: the field of the configuration, or "options.<setting>" for a setting of a package's family.
        way: "value" (a constant), "grid", "choice", "uniform" or "log_uniform".
        values: the constant, the values to choose from, or the interval's two ends; as the frames have them.
        when: other axes and the values under which this one applies.
    """

    name: str
    way: str
    values: tuple[Any, ...]
    when: Mapping[str, tuple[Any, ...]]

    def applies(self, settings: Mapping[str, Any]) -> bool:
        """Returns whether the axis applies to a trial with these settings; a field that is left out has its default."""
        return all(settings.get(name, _DEFAULTS.get(name)) in values for name, values in self.when.items())


def axes_of(study: Mapping[str, Any], stage: str) -> dict[str, Axis]:
    """Returns the axes of a stage by name; none where the recorded study does not tell.

    Args:
        study: the study, as the journal has it.
        stage: the stage's name.
    """
    space = study.get("stages", {}).get(stage, {}).get("space") or {}
    found = {}
    for name, given in _by_axis(space):
        way = next((way for way in _WAYS if given.get(way) is not None), None)
        if way is None:
            continue
        values = [given[way]] if way == "value" else given[way]
        when = {
            other: tuple(_shown(other, value) for value in _listed(wanted))
            for other, wanted in given.get("when", {}).items()
        }
        shown = tuple(_shown(name, value) for value in values)
        if name.startswith(OPTION) and setting_kind(shown) == "text":
            shown = tuple(map(str, shown))
        found[name] = Axis(name, way, shown, when)
    return found


def _by_axis(space: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the axes of a recorded space; the settings of a package's family may be one each, or one all together."""
    for name, given in space.items():
        if name == "options" and not given.keys() & set(_WAYS):
            yield from ((f"{OPTION}{setting}", axis) for setting, axis in given.items())
        else:
            yield name, given


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _shown(name: str, value: Any) -> Any:
    """Returns a value of the study as frames have it: lists and mappings as texts."""
    if isinstance(value, dict):
        value = tuple(sorted((key, tuple(item) if isinstance(item, list) else item) for key, item in value.items()))
    return axis_value(name, tuple(value)) if isinstance(value, (list, tuple)) else value


_DEFAULTS = {
    field.name: _shown(field.name, field.default)
    for field in dataclasses.fields(Configuration)
    if field.default is not dataclasses.MISSING
}

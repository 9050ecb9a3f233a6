"""Families of models that installed packages offer, under the entry points `aesweep.models`.

Installing such a package is the consent to run its code; a study names a family, never a file. This module imports
nothing else, so that a study can be checked where there is no torch; naming a family imports its package.
"""

from __future__ import annotations

import functools
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aesweep.models.modules import ModuleFamily

GROUP = "aesweep.models"
# What a study gives every family, beside the settings of the family's own: no setting may have one of these names.
GIVEN = ("latent_dim", "hidden_layers", "activation", "output")


def installed_families() -> list[str]:
    """Returns the names of the families that installed packages offer, without importing any of them."""
    return sorted({point.name for point in importlib.metadata.entry_points(group=GROUP)})


@functools.cache
def load_family(name: str) -> ModuleFamily:
    """Imports a family by its name.

    Raises:
        ValueError: no installed package offers it, its package cannot be imported, or it is not a family; or it calls
            a setting of its own by a name in `GIVEN`, whose value would silently take the other's place.
    """
    found = [point for point in importlib.metadata.entry_points(group=GROUP) if point.name == name]
    if not found:
        known = ", ".join(["dense", "convolutional", *installed_families()])
        raise ValueError(
            f"family {name!r} is not installed, known are {known}: install the package that offers it, everywhere that "
            "trials are trained"
        )
    try:
        family: Any = found[0].load()
    except Exception as error:  # whatever the package raises when it is imported
        raise ValueError(
            f"family {name!r}: {found[0].value} cannot be imported ({type(error).__name__}: {error})"
        ) from error
    if not callable(getattr(family, "modules", None)) or not isinstance(getattr(family, "axes", None), dict):
        raise ValueError(f"family {name!r}: {found[0].value} has no dict `axes` and function `modules`: docs/MODELS.md")
    if taken := [setting for setting in GIVEN if setting in family.axes]:
        raise ValueError(
            f"family {name!r}: {found[0].value} has a setting {taken[0]}, the name of an axis that all families share: "
            "give the setting another name"
        )
    return family


def option_faults(name: str, options: dict[str, list[Any]]) -> list[str]:
    """Returns what is wrong with the settings that a study gives to a family of a package.

    Args:
        name: the family's name.
        options: names of settings to the values that they may take, of an interval its ends.
    """
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    try:
        axes = load_family(name).axes
    except ValueError as error:
        return [str(error)]
    faults = [f"options.{key}: family {name} has no such setting" for key in options if key not in axes]
    faults += [f"options: family {name} needs {key}" for key in axes if key not in options]
    for key in axes.keys() & options.keys():
        try:
            kind = TypeAdapter(axes[key])
        except PydanticUserError:
            faults.append(f"options.{key}: family {name} has no type for it in `axes`, but {axes[key]!r}")
            continue
        for value in options[key]:
            if _has_mapping(value):
                faults.append(f"options.{key}: expected a number, a word or a list of these, got {value!r}")
                continue
            try:
                kind.validate_python(value, strict=True)
            except ValidationError as error:
                faults += [f"options.{key}: {found['msg']}, got {found['input']!r}" for found in error.errors()]
    return faults


def _has_mapping(value: Any) -> bool:
    """Returns whether a setting is a mapping or holds one, by which trials could not be told apart."""
    return isinstance(value, dict) or (isinstance(value, list) and any(_has_mapping(item) for item in value))

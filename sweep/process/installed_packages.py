"""Versions of the packages that are installed, for the records of what a run and a report were made with."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable

NOT_INSTALLED = "none"


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Returns the version of each package; `NOT_INSTALLED` for one that is not, as aesweep in a bare checkout."""
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = NOT_INSTALLED
    return versions

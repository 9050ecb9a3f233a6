"""Versions for the record, of packages that are installed and of those that are not."""

from __future__ import annotations

import importlib.metadata

from aesweep.process.installed_packages import installed_versions
from aesweep.report.manifest import current_versions
from aesweep.run.preflight.environment import describe_environment


def test_a_package_that_is_not_installed_has_no_version_and_stops_nothing(monkeypatch):
    """As Ray, and aesweep itself, in a checkout on a machine that is lent for its GPU."""
    known = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("ray", "aesweep"):
            raise importlib.metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert installed_versions(["ray", "numpy"]) == {"ray": "none", "numpy": known("numpy")}
    packages = describe_environment()["packages"]
    assert (packages["ray"], packages["aesweep"], packages["torch"]) == ("none", "none", known("torch"))
    assert current_versions()["aesweep"] == "none"

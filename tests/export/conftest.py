"""The runs that every exporter is tried on."""

from __future__ import annotations

import pytest

from aesweep.results import LoadedRun, load_run
from tests.export.exported_runs import hostile_run
from tests.report.synthetic import Synthetic


@pytest.fixture(scope="session")
def trained(trained_run) -> LoadedRun:
    return load_run(trained_run)


@pytest.fixture(scope="session")
def synthetic_run(tmp_path_factory) -> LoadedRun:
    """Two data sets; trials that diverged and failed."""
    return load_run(Synthetic().build().write(tmp_path_factory.mktemp("runs") / "synthetic").root)


@pytest.fixture(scope="session")
def hostile(trained_run, tmp_path_factory) -> LoadedRun:
    return hostile_run(trained_run, tmp_path_factory.mktemp("runs"))


@pytest.fixture(params=["trained", "hostile"])
def run(request) -> LoadedRun:
    return request.getfixturevalue(request.param)

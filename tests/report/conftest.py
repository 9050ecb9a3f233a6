"""A synthetic run, and its report, built once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synthetic import Synthetic

from aesweep.report.page import write_report
from aesweep.report.rows.reader import read_run
from aesweep.report.rows.types import Run
from aesweep.storage.journal import read_journal
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run's folder, with its report."""
    folder = Synthetic().build().write(tmp_path_factory.mktemp("runs") / "synthetic")
    write_report(folder)
    return folder


@pytest.fixture(scope="session")
def events(folder: RunFolder) -> list[dict[str, Any]]:
    return read_journal(folder.journal)


@pytest.fixture(scope="session")
def run(events: list[dict[str, Any]]) -> Run:
    return read_run(RunState(events))


@pytest.fixture(scope="session")
def report(folder: RunFolder) -> str:
    return folder.report.read_text()


@pytest.fixture(scope="session")
def mnist(report: str) -> str:
    """The part of the report on one data set."""
    return report.partition("\n## MNIST\n")[2].partition("\n## Fashion-MNIST\n")[0]


@pytest.fixture(scope="session")
def fashion(report: str) -> str:
    return report.partition("\n## Fashion-MNIST\n")[2].partition("\n## Published claims\n")[0]


@pytest.fixture
def other_folder(tmp_path: Path) -> RunFolder:
    """Where a test writes a run of its own."""
    return RunFolder(tmp_path / "run")

"""Undisturbed runs, each made once, and the table of flows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows import table
from tests.flows.session import COMMON, ended_well
from tests.flows.studies import TriedStudy


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Callable[[TriedStudy], Path]:
    """Gives the folder of a study's undisturbed run with one worker, which is made when it is first asked for."""
    found: dict[str, Path] = {}

    def run(study: TriedStudy) -> Path:
        if study.name not in found:
            folder = tmp_path_factory.mktemp(study.name)
            found[study.name] = folder / "runs" / study.name
            with table.flow(study.name, "run"):
                ended_well("run", *study.arguments(folder), "--runs", folder / "runs", *workers(study), *COMMON[2:])
        if not (found[study.name] / "report.md").exists():
            pytest.fail("the undisturbed run has failed")
        return found[study.name]

    return run


def workers(study: TriedStudy) -> tuple[str, str]:
    """A run is the same every time with one worker; trainers are processes of their own."""
    return ("--workers", "1" if study.is_ordered else "2")


def pytest_sessionfinish(session) -> None:
    if hasattr(session.config, "workeroutput"):  # one process of several, which hands over what it tried
        session.config.workeroutput["flows"] = table.results


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Gives each study to one process, since all its flows start from one undisturbed run."""
    from xdist.scheduler import LoadScopeScheduling

    class ByStudy(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.partition("[")[2].rstrip("]").partition("-")[0]

    return ByStudy(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    table.results.extend(map(tuple, node.workeroutput.get("flows", [])))


def pytest_terminal_summary(terminalreporter) -> None:
    text = table.told()
    if text:
        terminalreporter.section("flows")
        terminalreporter.write_line(text)

"""Runs on a cluster, by its jobs: killed there, stopped, gone on with, and brought to what they would have come to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.flows.local_head import LocalHead
from tests.flows.session import LIMIT_S, PHASES, command, ended_well, num_lines, wait_for
from tests.flows.studies import TriedStudy, all_studies
from tests.flows.table import flow
from tests.flows.test_flows import wrong

pytestmark = [pytest.mark.ray, pytest.mark.flows, pytest.mark.timeout(3600)]

STUDIES = [
    pytest.param(study, id=name, marks=[pytest.mark.skip(reason=study.lacks)] if study.lacks else [])
    for name, study in all_studies().items()
]


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    with LocalHead(tmp_path_factory.mktemp("home")) as head:
        deadline = time.monotonic() + LIMIT_S
        while not is_ready(head):  # Ray's agent, which starts jobs, comes later than its dashboard
            assert time.monotonic() < deadline
            time.sleep(0.5)
        yield head


def is_ready(head: LocalHead) -> bool:
    agents = [pid for pid in head.processes(0) if b"dashboard/agent.py" in command_line(pid).replace(b"\0", b" ")]
    logs = list((head.folder / "ray").glob("session_2*/logs/dashboard_agent.log"))
    return bool(agents) and any("Registered" in log.read_text() for log in logs)


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def drivers(head: LocalHead, run: Path) -> list[int]:
    """The processes on the head that work on a run: what its jobs have started."""
    words = [b"-m", b"aesweep.cli"]
    return [
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if (line := command_line(int(path.name)).split(b"\0"))[1:3] == words
        and any(str(part.decode()).startswith((str(head.runs), str(run))) for part in line)
    ]


def job_status(head: LocalHead, study: TriedStudy) -> str:
    done = ended_well("status", study.name, "--address", head.url, "--json", environment=head.environment)
    return json.loads(done.stdout)["status"]


def wait_until_ended(head: LocalHead, study: TriedStudy) -> None:
    deadline = time.monotonic() + LIMIT_S
    while job_status(head, study) not in ("succeeded", "failed", "stopped"):
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("study", STUDIES)
def test_submitted_run_is_killed_stopped_and_comes_to_the_same_end(tmp_path, study, head, whole):
    expected = whole(study)
    run = head.runs / study.name
    journal = run / "journal.jsonl"
    one = () if study.is_ordered else ("--set", "resources.trainers=1")  # the head has one core
    arguments = ["submit", *study.arguments(tmp_path), *one, "--address", head.url]
    # The study is that of the run by then: settings that would change it are refused.
    again = ["submit", study.write(tmp_path), "--resume", "--address", head.url]
    with flow(study.name, "submitted, kill"):
        ended_well(*arguments, environment=head.environment)
        wait_for(journal, PHASES["search"], 0, lambda: None)
        (driver,) = drivers(head, run)
        os.kill(driver, signal.SIGKILL)
        wait_until_ended(head, study)
        assert job_status(head, study) == "failed"
    with flow(study.name, "submitted, stop"):
        known = num_lines(journal)
        ended_well(*again, environment=head.environment)
        wait_for(journal, PHASES["retraining"], known, lambda: None)
        ended_well("stop", study.name, "--address", head.url, environment=head.environment)
        wait_until_ended(head, study)
        assert "interrupted" in journal.read_text().splitlines()[-1]
    with flow(study.name, "submitted, resume"):
        ended_well(*again, "--wait", environment=head.environment)
        assert job_status(head, study) == "succeeded"
        assert wrong(run, study, expected) == []


def test_nobody_without_the_token_submits_or_looks(tmp_path, head):
    study = all_studies()["toy"]
    stranger = {**head.environment, "RAY_AUTH_TOKEN": "0" * 64}
    for arguments in (["submit", study.write(tmp_path)], ["status", "toy"], ["stop", "toy"], ["logs", "toy"]):
        words = command(*arguments, "--address", head.url)
        done = subprocess.run(words, env=stranger, capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == 1 and "refuses the token" in done.stderr

"""Jobs of a cluster that has just started, and which of a run's jobs speaks for it. A stand-in is the dashboard."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys

import pytest

from aesweep.cluster.remote import submission as jobs
from aesweep.cluster.remote.submission import RUN, Jobs
from aesweep.process.errors import EX_CANTCREAT, AesweepError
from tests.local_http import Quiet, served

# What Ray's head says before its agent is up.
NO_AGENT = (
    "Traceback (most recent call last): ...\nException: No available agent to submit job, please try again later."
)


@contextlib.contextmanager
def dashboard(num_refusals: int = 0, refusal: str = NO_AGENT, known: list[dict] | None = None):
    """One that takes no job so many times, and then each; yields its address and the jobs that it was sent."""
    sent: list[dict] = []

    class Handler(Quiet):
        def do_GET(self):
            if self.path.startswith("/api/version"):
                self.tell({"version": "4", "ray_version": "2.60.0", "session_name": "x"})
            else:
                self.tell((known or []) if self.path.startswith("/api/jobs") else {})

        def do_PUT(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.tell({})

        def do_POST(self):
            sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if len(sent) <= num_refusals:
                self.answer(refusal.encode(), 500)
            else:
                self.tell(dict.fromkeys(("job_id", "submission_id"), sent[-1]["submission_id"]))

        def tell(self, values):
            self.answer(json.dumps(values).encode())

    with served(Handler) as url:
        yield url, sent


@pytest.fixture(autouse=True)
def token(monkeypatch):
    for name, value in {"RAY_AUTH_TOKEN": "ours", "RAY_AUTH_MODE": "token", "NETRC": os.devnull}.items():
        monkeypatch.setenv(name, value)


def test_submit_waits_for_a_head_that_has_just_started_and_says_nothing_of_rays():
    with dashboard(num_refusals=2) as (address, sent):
        line = [sys.executable, "-m", "aesweep.cli", "submit", "jobs/quickstart.yaml", "--address", address]
        done = subprocess.run(line, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert len(sent) == 3 and len({job["submission_id"] for job in sent}) == 1
    assert done.stdout.strip() == sent[-1]["submission_id"]
    first, second = done.stderr.splitlines()
    assert "has just started" in first and second.startswith("quickstart runs as job")


@pytest.mark.parametrize(("refusal", "num_asked"), [(NO_AGENT, None), ("500: the disk is full", 1)])
def test_cluster_that_takes_no_job_is_told_in_one_line(tmp_path, monkeypatch, refusal, num_asked):
    monkeypatch.setattr(jobs, "START_LIMIT_S", 0.1)
    with dashboard(10**6, refusal) as (address, sent), pytest.raises(AesweepError) as raised:
        Jobs(address).submit("mine", "true", tmp_path)
    assert len(str(raised.value).splitlines()) == 1
    assert num_asked in (None, len(sent))


def job(name: str, started: int, status: str = "SUCCEEDED", exit_code: int | None = 0) -> dict:
    found = {
        "type": "SUBMISSION",
        "submission_id": name,
        "entrypoint": "true",
        "status": status,
        "metadata": {RUN: "mine"},
    }
    return {**found, "start_time": started, "end_time": started + 1, "driver_exit_code": exit_code}


def test_refused_resubmission_does_not_speak_for_the_run_that_was_completed():
    done, refused = job("mine-1", 1000), job("mine-2", 2000, "FAILED", EX_CANTCREAT)
    for known in ([done, refused], [refused, done]):
        with dashboard(known=known) as (address, _):
            assert Jobs(address).status("mine")["job"] == "mine-1"
            assert Jobs(address).status("mine")["status"] == "succeeded"
            assert Jobs(address).status("mine", "mine-2")["exit_code"] == EX_CANTCREAT, "whoever sent it sees it"
    with dashboard(known=[refused]) as (address, _):
        assert Jobs(address).status("mine")["job"] == "mine-2", "the only one that there is"
    later = job("mine-3", 3000, "FAILED", 1)
    with dashboard(known=[done, refused, later]) as (address, _):
        assert Jobs(address).status("mine")["job"] == "mine-3", "what worked on the run and failed counts"

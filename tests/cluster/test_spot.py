"""A spot notice: asked for as AWS wants it, noted for the trials, and Ray sends nothing more to the node."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys

import pytest

from aesweep.cluster.remote import spot
from aesweep.training.checkpoints.preemption import leaving_note
from aesweep.training.checkpoints.state_file import is_due
from tests.cluster.local_nodes import LocalNodes
from tests.local_http import Quiet, served
from tests.search.test_retry_policy import SPEC


@contextlib.contextmanager
def metadata_service(notice_at: int):
    """An instance's metadata, version 2: nothing without a token; the notice is there from so many questions on."""
    asked = []

    class Handler(Quiet):
        def do_PUT(self):
            self.answer(b"a token", 200 if "X-aws-ec2-metadata-token-ttl-seconds" in self.headers else 400)

        def do_GET(self):
            asked.append(self.path)
            if self.headers.get("X-aws-ec2-metadata-token") != "a token":
                self.answer(status=401)
            elif self.path == "/latest/meta-data/spot/instance-action" and len(asked) >= notice_at:
                self.answer(b'{"action": "terminate", "time": "2026-01-01T00:00:00Z"}')
            else:
                self.answer(status=404)

    with served(Handler) as url:
        yield f"{url}/latest", asked


@pytest.fixture
def note(tmp_path, monkeypatch):
    monkeypatch.setenv("AESWEEP_LEAVING", str(tmp_path / "leaving"))
    return leaving_note()


def test_notice_is_waited_for_noted_and_told_to_ray(note, monkeypatch):
    drained = []
    monkeypatch.setattr(spot, "drain_node", lambda: drained.append(note.exists()))
    note.touch()  # of an earlier start
    with metadata_service(notice_at=4) as (url, asked):
        spot.leave_on_notice(url, every_s=0.01)
    assert len(asked) == 4
    assert drained == [True] and note.exists()


def test_nobody_who_answers_is_no_notice():
    assert not spot._is_noticed("http://127.0.0.1:9/latest")


def test_every_epoch_is_kept_once_the_machine_is_to_go(note):
    spec = dataclasses.replace(SPEC, states="states", state_interval_s=1e9, rungs=(), epochs=9)
    assert not is_due(spec, 2, 1.0)
    note.touch()
    assert is_due(spec, 2, 1.0) and not is_due(spec, 9, 1.0)


@pytest.mark.ray
def test_node_that_is_drained_is_given_nothing_more(monkeypatch):
    code = (
        "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False)\n"
        "@ray.remote(num_cpus=0, resources={'there': 1})\n"
        "def here(): return 1\n"
        "print(len(ray.wait([here.remote()], timeout=float(sys.argv[2]))[0]))"
    )
    with LocalNodes([{"num_cpus": 1}, {"num_cpus": 1, "resources": {"there": 1}}]) as cluster:
        for name, value in cluster.environment.items():
            monkeypatch.setenv(name, value)

        def runs(timeout_s) -> str:
            words = [sys.executable, "-c", code, cluster.address, str(timeout_s)]
            return subprocess.run(words, env=os.environ, capture_output=True, text=True, timeout=200).stdout.strip()

        assert runs(120) == "1"
        spot.drain_node("--address", cluster.address, "--node-id", cluster.ids[1])
        assert runs(5) == "0"

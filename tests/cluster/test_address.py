"""Nobody at an address, or somebody who says nothing: told in one line, and soon."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent import futures

import grpc
import pytest

from aesweep.cluster import address
from aesweep.cluster.address import LIMIT_S, reach_dashboard, reach_head
from aesweep.errors import AesweepError


@pytest.fixture
def silent():
    """The port of one who takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def closed() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def answering(status: int):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_both_steps_together_stay_under_20_s():
    assert 2 * LIMIT_S < 20


def test_head_that_says_nothing_is_told(silent, monkeypatch):
    monkeypatch.setattr(address, "LIMIT_S", 0.3)
    with pytest.raises(AesweepError, match=r"no answer within 0\.3 s; is the cluster up"):
        reach_head(f"127.0.0.1:{silent}")


def test_head_that_is_not_there_is_told(closed):
    with pytest.raises(AesweepError, match=f"127.0.0.1:{closed}: no head answers there"):
        reach_head(f"127.0.0.1:{closed}")


def test_server_that_is_no_head_is_told():
    with answering(200) as url, pytest.raises(AesweepError, match="expected a head of Ray, found another server"):
        reach_head(url.removeprefix("http://"))


def test_grpc_server_is_reached():
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    reach_head(f"127.0.0.1:{port}")
    server.stop(None)


@pytest.mark.parametrize("text", ["ray://127.0.0.1:10001", "127.0.0.1", "127.0.0.1:port", ":1"])
def test_address_that_is_none_is_told(text):
    with pytest.raises(AesweepError, match="expected host:port"):
        reach_head(text)


def test_dashboard_that_says_nothing_is_told(silent, monkeypatch):
    monkeypatch.setattr(address, "LIMIT_S", 0.3)
    with pytest.raises(AesweepError, match=r"no answer within 0\.3 s; `ray dashboard"):
        reach_dashboard(f"http://127.0.0.1:{silent}")


def test_dashboard_that_is_not_there_is_told(closed):
    with pytest.raises(AesweepError, match="nobody answers there; `ray dashboard"):
        reach_dashboard(f"http://127.0.0.1:{closed}")


@pytest.mark.parametrize(("status", "expected"), [(401, "refuses the token"), (403, "refuses the token"), (404, "404")])
def test_dashboard_that_refuses_is_told(status, expected):
    with answering(status) as url, pytest.raises(AesweepError, match=expected):
        reach_dashboard(url)


def test_dashboard_that_answers_is_reached():
    with answering(200) as url:
        reach_dashboard(url)


@pytest.mark.ray
@pytest.mark.parametrize("command", ["run", "submit"])
def test_command_with_a_dead_address_ends_in_one_line(tmp_path, closed, command):
    where = f"127.0.0.1:{closed}"
    arguments = ["run", "--runs", str(tmp_path)] if command == "run" else ["submit"]
    words = [sys.executable, "-m", "aesweep", *arguments, "jobs/quickstart.yaml", "--address", where]
    started = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, env={**os.environ, "RAY_AUTH_TOKEN": "x"})
    print(f"{command} with a dead address: {time.monotonic() - started:.1f} s")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and where in done.stderr and len(done.stderr.splitlines()) == 1

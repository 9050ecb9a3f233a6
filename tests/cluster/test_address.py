"""Nobody at an address, or somebody who says nothing: told in one line, and soon."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from concurrent import futures

import grpc
import pytest

from aesweep.cluster.remote import address
from aesweep.cluster.remote.address import LIMIT_S, dashboard_address, is_loopback, reach_dashboard, reach_head
from aesweep.process.errors import AesweepError
from tests.local_http import Quiet, served


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
    class Handler(Quiet):
        def do_GET(self):
            self.answer(status=status)

    with served(Handler) as url:
        yield url


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


@pytest.mark.parametrize("command", ["run", "submit"])
def test_command_with_a_dead_address_ends_in_one_line(tmp_path, closed, command):
    where = f"127.0.0.1:{closed}"
    arguments = ["run", "--runs", str(tmp_path)] if command == "run" else ["submit"]
    words = [sys.executable, "-m", "aesweep.cli", *arguments, "jobs/quickstart.yaml", "--address", where]
    started = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, env={**os.environ, "RAY_AUTH_TOKEN": "x"})
    print(f"{command} with a dead address: {time.monotonic() - started:.1f} s")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and where in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.fixture
def proxy():
    """Settings of an environment that sends everything through a proxy, and what was asked of it."""
    asked = []

    class Handler(Quiet):
        def __getattr__(self, name):
            if name.startswith("do_"):
                return lambda: (asked.append((self.path, dict(self.headers))), self.send_error(502))
            raise AttributeError(name)

    with served(Handler) as where:
        names = ("http_proxy", "https_proxy", "all_proxy")
        yield {name: where for given in names for name in (given, given.upper())}, asked


@contextlib.contextmanager
def dashboard():
    """A dashboard with one job, and the headers of the requests to it."""
    asked = []

    class Handler(Quiet):
        def do_GET(self):
            asked.append(dict(self.headers))
            content = b'{"version": "4", "ray_version": "2.60.0", "session_name": "x"}'
            self.answer(b"[]" if self.path.startswith("/api/jobs") else content)

    with served(Handler) as url:
        yield int(url.rpartition(":")[2]), asked


def command(*words: str, **environment: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    line = [sys.executable, "-m", "aesweep.cli", *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=100, env={**clean, **environment})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_requests_to_this_machine_pass_by_every_proxy_with_the_token_and_no_password(tmp_path, proxy, host):
    settings, through = proxy
    (tmp_path / ".netrc").write_text(f"machine {host} login me password mine\n")
    (tmp_path / ".netrc").chmod(0o600)
    with dashboard() as (port, direct):
        for arguments in (["status", "x"], ["logs", "x"]):
            done = command(
                *arguments, "--address", f"http://{host}:{port}", **settings, HOME=str(tmp_path), RAY_AUTH_TOKEN="ours"
            )
            assert done.returncode == 1 and "no job of that run" in done.stderr, done.stderr
    assert through == []
    assert {next(v for k, v in headers.items() if k.lower() == "authorization") for headers in direct} == {
        "Bearer ours"
    }


@pytest.mark.parametrize(
    "text",
    [
        *("http://10.1.2.3:8265", "10.1.2.3:8265", "http://head.example:8265", "http://127.0.0.1@head.example:8265"),
        *("http://127.0.0.1.example:8265", "http://localhost.example", "http://0.0.0.0:8265", "http://[2001:db8::1]:1"),
    ],
)
def test_token_is_never_sent_in_clear_to_another_machine(monkeypatch, text):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "ours")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(AesweepError, match="in clear: `ray dashboard"):
        dashboard_address(text)


def test_loopback_and_https_are_let_through_and_proxies_stay_for_the_latter(monkeypatch):
    for name, value in (
        ("RAY_AUTH_TOKEN", "ours"),
        ("RAY_AUTH_MODE", "token"),
        ("NETRC", "mine"),
        ("https_proxy", "p"),
    ):
        monkeypatch.setenv(name, value)
    assert dashboard_address("https://head.example/ray/") == "https://head.example/ray"
    assert os.environ["https_proxy"] == "p" and os.environ["NETRC"] == os.devnull
    assert dashboard_address("127.0.0.1:8265") == "http://127.0.0.1:8265"
    assert "https_proxy" not in os.environ
    assert all(map(is_loopback, ("127.9.9.9", "::1", "localhost")))


@pytest.mark.parametrize("text", ["ftp://127.0.0.1", "http://", "http://127.0.0.1:port", "http://[::1"])
def test_text_that_is_no_dashboards_address_is_told(text):
    with pytest.raises(AesweepError, match="expected the address of a dashboard"):
        dashboard_address(text)


def test_redirect_is_not_followed():
    with answering(302) as url, pytest.raises(AesweepError, match="got HTTP status 302"):
        reach_dashboard(url)


@pytest.mark.parametrize("words", [["status", "x"], ["logs", "x"], ["stop", "x"], ["submit", "jobs/quickstart.yaml"]])
@pytest.mark.parametrize("token", [None, "", "world-readable", "folder"])
def test_command_without_a_good_token_ends_in_one_line_with_the_remedy(tmp_path, words, token):
    place = tmp_path / ".ray" / "auth_token"
    place.parent.mkdir()
    if token == "folder":
        place.mkdir()
    elif token is not None:
        place.write_text(token)
        place.chmod(0o644 if token else 0o600)
    done = command(*words, "--address", "http://127.0.0.1:1", HOME=str(tmp_path))
    expected = {None: "get-auth-token", "": "get-auth-token", "folder": "cannot be read"}.get(token, "chmod 600")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert str(place) in done.stderr and expected in done.stderr

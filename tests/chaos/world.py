"""Where runs are disturbed: a small disk, a Ray cluster of one's own, drivers, and a clock that can be moved."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos.unreliable_s3 import UnreliableS3

ROOT = Path(__file__).parent.parent.parent
DISK_BYTES = 64 * 2**20
START_LIMIT_S = 600
GIVEN_UP_S = 3.0
# As the cluster files set them: a node that says nothing for about 10 s is lost.
HEALTH_CHECKS = {
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


class Driver:
    """A command at work, and its end.

    Args:
        pid: its process.
        answers: file descriptor on which its exit status comes as a line.
        log: what it says.
    """

    def __init__(self, pid: int, answers: int, log: Path):
        self.pid = pid
        self.log = log
        self._answers = answers
        self._code: int | None = None

    def poll(self, timeout_s: float = 0.0) -> int | None:
        """The exit code, -N for a signal N; None while it runs."""
        if self._code is None and select.select([self._answers], [], [], timeout_s)[0]:
            self._code = os.waitstatus_to_exitcode(int(_line(self._answers)))
        return self._code

    def wait(self, timeout_s: float) -> int:
        code = self.poll(timeout_s)
        if code is None:
            os.kill(self.pid, signal.SIGKILL)
            raise TimeoutError(f"the driver did not end within {timeout_s} s")
        return code

    def signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Zygote:
    """A process from which drivers are forked, see `tests.chaos.zygote`."""

    def __init__(self, environment: dict[str, str]):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.zygote"],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip

    def start(self, arguments: list[str], log: Path) -> Driver:
        order = json.dumps({"arguments": arguments, "log": str(log)})
        self._process.stdin.write(order.encode() + b"\n")
        answers = self._process.stdout.fileno()
        return Driver(int(_line(answers)), answers, log)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait(60)


class World:
    """Everything that a fault can reach.

    Attributes:
        runs: folder on the small disk.
        s3: a storage that can be disturbed; None where moto or s3fs is missing.
        num_workers: of the cluster and of drivers without it.
    """

    def __init__(self) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))  # sockets need a short path
        self.runs = self.scratch / "disk"
        self.runs.mkdir()
        self.has_disk = _mount(self.runs)
        self._clock = self.scratch / "clock"
        self._clock.write_text("0")
        os.environ["CHAOS_CLOCK"] = str(self._clock)
        os.environ["PYTHONPATH"] = str(Path(__file__).parent / "clock")
        os.environ["TMPDIR"] = str(self.scratch)
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ |= HEALTH_CHECKS
        self.s3 = _start_s3()
        tempfile.tempdir = None
        self.num_workers = 0
        self._nodes: list[Any] = []
        self._cluster: Any = None
        self._zygote = Zygote(dict(os.environ))

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self._zygote.close()
        if self._cluster:
            self._cluster.shutdown()
        if self.s3:
            self.s3.close()
        self.free_disk()
        if self.has_disk:
            subprocess.run(["umount", "-l", self.runs], check=False)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def set_workers(self, num_workers: int) -> str:
        """Brings the cluster to so many nodes with a worker each, and gives its address."""
        from ray.cluster_utils import Cluster

        if self._cluster is None:
            arguments = {"num_cpus": 0, "include_dashboard": False, "temp_dir": str(self.scratch / "ray")}
            arguments["object_store_memory"] = 100_000_000
            self._cluster = Cluster(initialize_head=True, head_node_args=arguments)
        while len(self._nodes) < num_workers:
            self._nodes.append(self._add_node())
        while len(self._nodes) > num_workers:
            self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)
        self.num_workers = num_workers
        return self._cluster.address

    def _add_node(self) -> Any:
        """Starts a node; Ray gives it 30 s, which a machine with much other work may need more than once."""
        from tests.run.test_resume import descendants

        for last in (False, False, True):
            before = _children()
            try:
                return self._cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
            except Exception as error:
                # Otherwise a node that is late would be a worker too many.
                for pid in _children() - before:
                    for part in [pid, *descendants(pid)]:
                        _send(part, signal.SIGKILL)
                if last or "timed out during startup" not in str(error):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def kill_raylet(self, which: int) -> None:
        """Kills a node's raylet; another node takes its place."""
        node = self._nodes.pop(which % len(self._nodes))
        raylet = node.all_processes["raylet"][0].process
        raylet.send_signal(signal.SIGKILL)
        raylet.wait(30)
        self._cluster.remove_node(node, allow_graceful=False)
        self.set_workers(self.num_workers)

    def cut_off(self, which: int, seconds: float) -> None:
        """Stops a node's processes for so long, as a network does that loses it; another comes if it was given up.

        Nothing of the node answers meanwhile, and afterwards all of it goes on where it was.
        """
        from tests.run.test_resume import descendants

        node = self._nodes[which % len(self._nodes)]
        raylet = node.all_processes["raylet"][0].process
        processes = [raylet.pid, *descendants(raylet.pid)]
        for pid in processes:
            _send(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in processes:
            _send(pid, signal.SIGCONT)
        try:
            raylet.wait(GIVEN_UP_S)  # a raylet that was given up learns it from the head, and ends
        except subprocess.TimeoutExpired:
            return
        self._nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)
        self.set_workers(self.num_workers)

    def start(self, arguments: list[str], log: Path, forked: bool) -> Driver:
        """Starts a driver: as a fork of what is imported already, or as a user does."""
        if forked:
            return self._zygote.start(arguments, log)
        reader, writer = os.pipe()
        # The shell tells the exit status as `os.waitpid` has it, which Python only gives to a parent that waits.
        code = (
            "import os, subprocess, sys\n"
            "log = open(sys.argv[1], 'ab')\n"
            "child = subprocess.Popen([sys.executable, '-m', 'aesweep', *sys.argv[2:]], stdin=subprocess.DEVNULL,"
            " stdout=log, stderr=log)\n"
            "print(child.pid, flush=True)\n"
            "print(os.waitpid(child.pid, 0)[1], flush=True)\n"
        )
        subprocess.Popen([sys.executable, "-S", "-c", code, str(log), *arguments], cwd=ROOT, stdout=writer)
        os.close(writer)
        return Driver(int(_line(reader)), reader, log)

    def move_clock(self, seconds: float) -> None:
        self._clock.write_text(str(float(self._clock.read_text()) + seconds))

    def fill_disk(self) -> None:
        with open(self.runs / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(2**20))
            except OSError:
                pass
            try:
                while True:
                    filler.write(bytes(512))
            except OSError:
                pass

    def free_disk(self) -> None:
        (self.runs / "filler").unlink(missing_ok=True)

    def workers(self, actor: str) -> list[int]:
        """Ray's processes that are such an actor, wherever they run: Tune's trials are "ImplicitFunc"."""
        from tests.run.test_resume import descendants

        return [pid for pid in descendants(os.getpid()) if _title(pid).startswith(f"ray::{actor}")]


def _start_s3() -> UnreliableS3 | None:
    """Where clients find it is in the environment, before anything that may be one is started."""
    if not all(importlib.util.find_spec(name) for name in ("moto", "s3fs")):
        return None
    s3 = UnreliableS3()
    os.environ |= s3.environment
    return s3


def _children() -> set[int]:
    """Returns the processes that this one has started, of which theirs are none."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for found in lists for pid in found.read_text().split()}


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    except OSError:
        return ""


def _line(descriptor: int) -> bytes:
    """A line, read byte by byte so that `select` knows of what follows."""
    text = b""
    limit = time.monotonic() + START_LIMIT_S
    while not text.endswith(b"\n"):
        if not select.select([descriptor], [], [], max(0.0, limit - time.monotonic()))[0]:
            raise TimeoutError("no driver could be started")
        byte = os.read(descriptor, 1)
        if not byte:
            raise RuntimeError("the process that starts drivers has ended")
        text += byte
    return text


def _mount(folder: Path) -> bool:
    """Mounts a small disk there; possible within a mount namespace of one's own."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "tmpfs", str(folder)], capture_output=True
    )
    return done.returncode == 0

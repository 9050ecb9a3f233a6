"""Three nodes with two GPUs each, in name: trials spread over them; one is killed and one frozen, and the run comes to
the winners that it would have had."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from aesweep.storage.journal import read_journal
from tests.cluster.local_nodes import LocalNodes
from tests.conftest import SMALL_STUDY

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

# With ASHA out of the game the winners do not depend on who was where first.
EPOCHS = 600
ARCHITECTURE = {
    **SMALL_STUDY["stages"]["architecture"],
    "samples": 2,
    "epochs": EPOCHS,
    "asha": {"grace_period": EPOCHS},
}
STUDY = {**SMALL_STUDY, "stages": {"architecture": ARCHITECTURE}, "retraining": {"epochs": 40, "seeds": 3}}
# As in the project's cluster files.
HEALTH = {
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


def command(folder: Path, *arguments: str) -> list[str]:
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    words = ["run", str(folder / "study.yaml"), "--runs", str(folder), "--quiet", "--save-every", "1", *arguments]
    return [sys.executable, "-m", "aesweep.cli", *words]


def of(events, kind):
    return [event for event in events if event["kind"] == kind]


def winners(events) -> list[dict]:
    found = [event for kind in ("cell_winner", "stage_winner", "retrained") for event in of(events, kind)]
    values = [{name: event[name] for name in event if name not in ("time", "seq", "seconds")} for event in found]
    return sorted(values, key=json.dumps)  # retrainings end in any order


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(command(folder, "--workers", "2"), check=True, timeout=600)
    return read_journal(folder / "small" / "journal.jsonl")


def wait_for(process, condition, limit_s: float = 300) -> float:
    """Seconds until a condition holds, while a process is at work."""
    started = time.monotonic()
    while not condition():
        assert process.poll() is None, "the run ended before"
        assert time.monotonic() - started < limit_s
        time.sleep(0.05)
    return time.monotonic() - started


def test_run_outlives_a_killed_and_a_frozen_node(tmp_path, undisturbed):
    journal = tmp_path / "small" / "journal.jsonl"

    def events():
        return read_journal(journal) if journal.exists() else []

    def failures(since: float) -> list[dict]:
        return [event for event in of(events(), "failure") if event["time"] >= since]

    def goes_on(failed: list[dict]) -> bool:
        """Whether a trial that failed has come further than it was."""
        found = [event for event in of(events(), "row") if event["seq"] > failed[0]["seq"]]
        return any(event["trial"] == failed[0]["trial"] for event in found)

    def noticed_and_resumed(since: float) -> tuple[float, float]:
        noticed = wait_for(process, lambda: failures(since))
        return noticed, wait_for(process, lambda: goes_on(failures(since)))

    nodes = [{"num_cpus": 2, "num_gpus": 2} for _ in range(3)]
    with LocalNodes([{"num_cpus": 1}, *nodes], HEALTH) as cluster, open(tmp_path / "log", "w") as log:
        arguments = ("--address", cluster.address, "--set", "resources.gpus_per_trial=1", "--gpus", "6")
        process = subprocess.Popen(command(tmp_path, *arguments), env=cluster.environment, stdout=log, stderr=log)
        try:
            # All six train: no node is without a trial.
            wait_for(process, lambda: len({event["trial"] for event in of(events(), "row")}) >= 6)
            trainers = [busy(cluster.processes(node)) for node in (1, 2, 3)]
            assert all(trainers), trainers
            since = time.time()
            os.kill(cluster.raylets[2], signal.SIGKILL)
            times = {"killed": noticed_and_resumed(since)}
            since, frozen = time.time(), cluster.processes(3)
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            try:
                times["frozen"] = noticed_and_resumed(since)
                assert process.wait(500) == 0, (tmp_path / "log").read_text()[-3000:]
            finally:
                for pid in frozen:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
        finally:
            process.kill()
    for name, (noticed, resumed) in times.items():
        print(f"{name}: noticed after {noticed:.1f} s, a trial of that node further {resumed:.1f} s later")
    assert winners(events()) == winners(undisturbed)
    causes = {event["cause"] for event in of(events(), "failure")}
    assert causes <= {"lost node", "crashed"} and all(event["retried"] for event in of(events(), "failure"))


def busy(pids: list[int]) -> list[int]:
    """Those of the processes that train."""
    found = []
    for pid in pids:
        try:
            found += [pid] if b"ImplicitFunc" in Path(f"/proc/{pid}/cmdline").read_bytes() else []
        except OSError:
            continue
    return found

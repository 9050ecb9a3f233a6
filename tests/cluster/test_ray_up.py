"""docs/CLUSTER.md, word for word, on three machines made for it: up, submit, fetch, report, down."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from aesweep.storage.journal import read_journal
from tests.cluster.laptop import ROOT, make_laptop, run_script
from tests.cluster.machines import HOME, NETWORK

NUM_MACHINES = 3
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


def readme_commands() -> list[str]:
    """The lines of the section's one block of commands."""
    section = (ROOT / "docs" / "CLUSTER.md").read_text()
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


# What a reader does by hand between the lines: look again, and see what came of it.
AFTER = {
    "ray exec": f"""
        for i in $(seq 120); do
            ray exec jobs/cluster_local.yaml 'ray status' > $OUT/status 2>/dev/null
            grep -q '^ {NUM_MACHINES} local.cluster.node' $OUT/status && break
            sleep 3
        done
        ls -l $OUT/machines/machine*/home/.ray/auth_token > $OUT/tokens
        ssh tester@10.77.0.1 '~/aesweep/.venv/bin/python {ROOT}/tests/cluster/intruder.py' > $OUT/intruder.json
    """,
    "ray dashboard": """
        TUNNEL=$!
        for i in $(seq 60); do (exec 3<>/dev/tcp/127.0.0.1/8265) 2>/dev/null && break; sleep 0.5; done
    """,
    "aesweep submit": """
        aesweep status quickstart --address 127.0.0.1:8265 --json > $OUT/job.json
        aesweep submit jobs/quickstart.yaml --name other
        for i in $(seq 200); do aesweep logs other | grep -q '[1-9][0-9]* of .* trials ended' && break; sleep 0.5; done
        aesweep stop other
        aesweep logs other --follow > $OUT/stopped.log
        aesweep status other --address 127.0.0.1:8265 --json > $OUT/stopped.json
        aesweep submit jobs/quickstart.yaml --name other --resume --wait
        aesweep fetch other --from jobs/cluster_local.yaml
    """,
    "ray down": """
        kill $TUNNEL
        for i in $(seq 60); do      # workers leave by themselves, a minute after their head
            for machine in 1 2 3; do ssh 10.77.0.$machine 'ps ax -o stat,args' > $OUT/left$machine; done
            grep -q -e ray/raylet -e gcs_server $OUT/left? || break
            sleep 3
        done
    """,
}


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """What the section's commands left behind."""
    out = tmp_path_factory.mktemp("out")
    numbers = range(1, NUM_MACHINES + 1)
    checkout = make_laptop(out, numbers, key="key")
    fill_in(checkout / "jobs" / "cluster_local.yaml")
    script = ["set -ex", f"cd {checkout}"]
    for line in readme_commands():
        script += [line, *(text for start, text in AFTER.items() if line.startswith(start))]
    run_script(out, numbers, "\n".join(script))
    return out


def fill_in(path: Path) -> None:
    """The placeholders of the cluster file, as a user fills them in."""
    text = (
        path.read_text().replace("<HEAD_IP>", f"{NETWORK}.1").replace("<USER>", "tester").replace("<KEY_NAME>", "key")
    )
    for number in range(2, NUM_MACHINES + 1):
        text = text.replace("<WORKER_IP>", f"{NETWORK}.{number}", 1)
    path.write_text(text)


def test_run_comes_home_whole(out):
    folder = out / "checkout" / "runs" / "quickstart"
    events = read_journal(folder / "journal.jsonl")
    assert events[-1]["kind"] == "run_ended" and events[-1]["status"] == "completed"
    assert "## What the search cost" in (folder / "report.md").read_text()
    assert json.loads((out / "job.json").read_text())["status"] == "succeeded"
    checkpoints = [event["checkpoint"]["file"] for event in events if event["kind"] == "retrained"]
    assert checkpoints and all((folder / name).is_file() for name in checkpoints)


def test_run_that_is_stopped_goes_on_when_it_is_submitted_again(out):
    assert json.loads((out / "stopped.json").read_text())["status"] == "stopped"
    assert "interrupted; what is done is recorded" in (out / "stopped.log").read_text()
    events = read_journal(out / "checkout" / "runs" / "other" / "journal.jsonl")
    kinds = [event["kind"] for event in events]
    assert [event["status"] for event in events if event["kind"] == "run_ended"] == ["interrupted", "completed"]
    assert kinds.index("run_ended") < kinds.index("resumed") < kinds.index("retrained")


def test_every_machine_trains(out):
    for number in range(1, NUM_MACHINES + 1):
        logs = (out / "machines" / f"machine{number}" / "tmp" / "ray").glob("session_*/logs/worker-*.out")
        assert any("train_trial" in path.read_text() for path in logs), f"no trial on machine {number}"


def test_token_is_readable_by_its_owner_alone(out):
    assert re.fullmatch(r"(-rw------- .*\n){3}", (out / "tokens").read_text())


def test_no_port_of_the_head_takes_a_job_without_the_token(out):
    answers = json.loads((out / "intruder.json").read_text())
    assert {"6379", "8265"} <= answers.keys(), "the head's own ports were not found"
    # Ray 2.60 answers 401 to a request without a token and 403, not 401, to one with a wrong token.
    refused = {"none": 401, "wrong": 403}
    assert answers["8265"] == answers["52365"] == refused  # the dashboard and its agent; nobody else knows of jobs
    others = [found for port, found in answers.items() if port not in ("8265", "52365")]
    assert all(answer == 405 or isinstance(answer, str) for found in others for answer in found.values()), answers
    assert not (out / "machines" / "machine1" / "tmp" / "intruded").exists()


def test_down_leaves_nothing_behind_that_could_run_a_task(out):
    """Of a machine of one's own that is not the head, Ray leaves agents and the log monitor; `ray up` ends those."""
    for number in range(1, NUM_MACHINES + 1):
        left = (out / f"left{number}").read_text().splitlines()
        assert len(left) > 1
        known = ("log_monitor.py", "ray::DashboardAgent", "ray::RuntimeEnvAgent") if number > 1 else ()
        ours = [line for line in left if "/ray/" in line or "ray::" in line]
        assert not [line for line in ours if not any(name in line for name in known)], left


def test_nothing_of_the_machine_of_the_test_is_sent(out):
    sent = {
        path.relative_to(out / "machines" / "machine1" / "home").parts[:2]
        for path in (out / "machines" / "machine1" / "home").rglob("*")
    }
    assert HOME and not [parts for parts in sent if parts[-1] in ("runs", ".git", "tests", ".ssh")]

"""cluster.yaml from `ray up` to `ray down` on moto's AWS and made-up machines, with a study that asks for two GPUs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("moto.server", reason="NOT RUN: pip install 'aesweep[test]'")

from tests.cluster import cloud as aws
from tests.cluster.laptop import machine_home, make_laptop, run_script
from tests.cluster.machines import HERE, NETWORK

ROOT = Path(__file__).resolve().parents[2]
URL = f"http://{HERE}:{aws.PORT}"
HEAD, WORKERS = 4, (5, 6)  # the first addresses that AWS gives out in a subnet
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

STUDY = """
name: gpus
seed: 1
datasets: [digits]
stages:
  architecture:
    space:
      hidden_layers: [32]
      latent_dim: {grid: [4, 8]}
      learning_rate: {log_uniform: [1.0e-3, 1.0e-2]}
    table: {rows: latent_dim}
    samples: 1
    epochs: 3
retraining: {epochs: 1, seeds: 1}
resources: {gpus_per_trial: 1}
"""
# Five minutes are long to wait for an idle worker's end: the only change to the filled file.
SCRIPT = f"""
    set -ex
    cd $OUT/checkout
    python -m tests.cluster.cloud $OUT/calls cluster.yaml $OUT/state > $OUT/cloud.log 2>&1 & CLOUD=$!
    until grep -q {aws.BUCKET} cluster.yaml; do sleep 1; kill -0 $CLOUD; done
    sed -i 's/^idle_timeout_minutes: 5$/idle_timeout_minutes: 0.5/' cluster.yaml
    (umask 077; ray get-auth-token --generate > /dev/null)
    export RAY_AUTH_MODE=token
    aesweep doctor cluster.yaml
    ray up --yes cluster.yaml
    ray dashboard cluster.yaml & TUNNEL=$!
    for i in $(seq 60); do (exec 3<>/dev/tcp/127.0.0.1/8265) 2>/dev/null && break; sleep 0.5; done
    aesweep submit study.yaml --gpus 2
    for i in $(seq 60); do
        ray exec cluster.yaml 'ray status' > $OUT/status 2>/dev/null
        grep -q '/2.0 GPU' $OUT/status && break
        sleep 3
    done
    aesweep doctor cluster.yaml --study study.yaml --address http://127.0.0.1:8265 > $OUT/doctor
    aesweep logs gpus --follow
    aesweep status gpus --address http://127.0.0.1:8265 --json > $OUT/job.json
    aesweep fetch gpus --from s3://{aws.BUCKET}/runs
    # From here on somebody wants the CPUs of one worker.
    ray exec cluster.yaml 'python -c "import ray, ray.autoscaler.sdk as s; ray.init(); s.request_resources(num_cpus=8)"'
    for i in $(seq 60); do grep -q '"action": "ec2:TerminateInstances"' $OUT/calls && break; sleep 3; done
    ray exec cluster.yaml 'ray status' > $OUT/status_later
    cp $OUT/calls $OUT/calls_before_down
    kill $TUNNEL
    ray down --yes cluster.yaml
    kill -TERM $CLOUD
    wait $CLOUD
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """What the commands left behind."""
    out = tmp_path_factory.mktemp("aws")
    numbers = range(HEAD, WORKERS[-1] + 1)
    (make_laptop(out, numbers, key="key.pem") / "study.yaml").write_text(STUDY)
    for number in numbers:
        (machine_home(out, number) / ".bashrc").write_text(
            f"export AWS_ENDPOINT_URL={URL} AWS_EC2_METADATA_SERVICE_ENDPOINT={URL} NO_PROXY={HERE}\n"
        )
    variables = aws.LAPTOP | {"AWS_ENDPOINT_URL": URL, "NO_PROXY": f"{HERE},127.0.0.1"}
    run_script(out, numbers, SCRIPT, variables)
    return out


@pytest.fixture(scope="module")
def state(out) -> dict:
    return json.loads((out / "state").read_text())


def calls(out: Path, name: str = "calls") -> list[dict]:
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


def test_study_gets_its_gpus_and_runs_on_them(out):
    assert re.search(r"/2\.0 GPU", (out / "status").read_text())
    examined = (out / "doctor").read_text()
    assert "1 GPUs needed, 2 up at http://127.0.0.1:8265, 8 in cluster.yaml at most" in examined
    assert f"storage: s3://{aws.BUCKET}/runs keeps what is written" in examined
    assert json.loads((out / "job.json").read_text())["status"] == "succeeded"
    for number in WORKERS:
        logs = (out / "machines" / f"machine{number}" / "tmp" / "ray").glob("session_*/logs/worker-*.out")
        assert any("train_trial" in path.read_text() for path in logs), f"no trial on machine {number}"


def test_run_lies_in_the_bucket(out):
    assert (out / "checkout" / "runs" / "gpus" / "report.md").is_file()


def test_head_and_two_spot_workers_are_started_and_all_ended(state):
    instances = state["instances"].values()
    types = sorted(aws.tags(instance)["ray-user-node-type"] for instance in instances)
    assert types == ["gpu_spot", "gpu_spot", "head"]
    assert {instance["State"]["Name"] for instance in instances} == {"terminated"}


def test_idle_worker_is_ended_by_the_head(out):
    ended = [call for call in calls(out, "calls_before_down") if call["action"] == "ec2:TerminateInstances"]
    assert {call["from"] for call in ended} == {f"{NETWORK}.{HEAD}"}
    assert len(ended) == 1


def test_head_does_nothing_that_its_role_may_not(out, state):
    asked = [call for call in calls(out) if call["from"] == f"{NETWORK}.{HEAD}"]
    actions = {call["action"] for call in asked}
    assert actions >= {"ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances", "s3:PutObject"}
    assert not aws.refused(asked, state["statements"], state["instances"])
    assert all(call["key"].startswith("ASIA") for call in asked), "credentials of another than the profile"


def test_workers_ask_aws_for_nothing(out):
    assert not [call for call in calls(out) if call["from"] in {f"{NETWORK}.{number}" for number in WORKERS}]


def test_group_is_as_it_was_deployed(state):
    sources = sorted(source for *_, several in state["rules"] for source in several)
    assert sources == sorted([aws.SSH_FROM, state["<SECURITY_GROUP>"]])

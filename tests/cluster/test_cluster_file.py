"""The two cluster files of the project, filled in, have no fault; each way of leaving one open or misspelt is told."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from aesweep.cluster.remote.cluster_file import TOKEN_PATH, cluster_faults, most_gpus, named_storage, read_cluster_file
from aesweep.process.errors import StudyError

ROOT = Path(__file__).parents[2]
FILES = ["cluster.yaml", "jobs/cluster_local.yaml"]
VALUES = {
    "<REGION>": "eu-central-1",
    "<AMI>": "ami-0123456789abcdef0",
    "<KEY_NAME>": "laptop",
    "<SUBNET>": "subnet-0123456789abcdef0",
    "<SECURITY_GROUP>": "sg-0123456789abcdef0",
    "<HEAD_PROFILE>": "aesweep-HeadProfile-1",
    "<BUCKET>": "our-runs",
    "<HEAD_IP>": "192.0.2.1",
    "<WORKER_IP>": "192.0.2.2",
    "<USER>": "ubuntu",
}


@pytest.fixture
def token(tmp_path, monkeypatch):
    """A home with a token in it, and the checkout as the working folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = Path(TOKEN_PATH).expanduser()
    path.parent.mkdir()
    path.write_text("secret")
    return path


def filled(name: str) -> dict:
    text = (ROOT / name).read_text()
    for placeholder, value in VALUES.items():
        text = text.replace(placeholder, value)
    return yaml.safe_load(text)


@pytest.mark.parametrize("name", FILES)
def test_file_as_it_comes_is_refused_for_each_of_its_placeholders(name, token):
    faults = "\n".join(cluster_faults(read_cluster_file(ROOT / name), ROOT))
    body = "\n".join(line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#"))
    used = [placeholder for placeholder in VALUES if placeholder in body]
    assert used and all(f"{placeholder} is a placeholder" in faults for placeholder in used)


@pytest.mark.parametrize("name", FILES)
def test_file_filled_in_has_no_fault(name, token):
    pytest.importorskip("botocore")
    assert cluster_faults(filled(name), ROOT) == []


def test_storage_is_read_from_the_heads_start_once_it_is_filled_in():
    assert named_storage(filled("cluster.yaml")) == "s3://our-runs/runs"
    assert named_storage(read_cluster_file(ROOT / "cluster.yaml")) is None
    assert named_storage(filled("jobs/cluster_local.yaml")) is None


@pytest.mark.parametrize(("num_gpus", "limit", "expected"), [(1, 8, 8), (4, 8, 32), (4, 10, 34)])
def test_gpus_are_those_of_the_largest_workers_that_the_limit_allows(num_gpus, limit, expected):
    values = filled("cluster.yaml")
    values["max_workers"] = limit
    values["available_node_types"]["gpu_spot"]["resources"]["GPU"] = num_gpus
    assert most_gpus(values) == expected
    assert most_gpus(filled("jobs/cluster_local.yaml")) == 0


@pytest.mark.parametrize("name", FILES)
def test_file_holds_no_secret_and_mounts_nothing_but_code_and_token(name):
    values = filled(name)
    parts = {"sweep", "models", "data", ".ci", "pyproject.toml", "Makefile", "README.md"}
    assert values["file_mounts"] == {f"~/aesweep/{part}": part for part in parts} | {TOKEN_PATH: TOKEN_PATH}
    text = (ROOT / name).read_text().lower()
    assert not [word for word in ("akia", "aws_secret", "password", "begin rsa", "begin openssh") if word in text]


def changed(name: str, change) -> list[str]:
    values = copy.deepcopy(filled(name))
    change(values)
    return cluster_faults(values, ROOT)


def set_node(key, value):
    def change(values):
        values["available_node_types"]["gpu_spot"]["node_config"][key] = value

    return change


def drop_node(key):
    return lambda values: values["available_node_types"]["gpu_spot"]["node_config"].pop(key)


def replace_start(key, old, new):
    def change(values):
        assert any(old in command for command in values[key])
        values[key] = [command.replace(old, new) for command in values[key]]

    return change


HEAD, WORKER = "head_start_ray_commands", "worker_start_ray_commands"
CHANGES = {
    "head without token": (replace_start(HEAD, "RAY_AUTH_MODE=token ", ""), "the cluster is open"),
    "worker without token": (replace_start(WORKER, "RAY_AUTH_MODE=token ", ""), "the cluster is open"),
    "token after the start": (
        replace_start(WORKER, "RAY_AUTH_MODE=token ray start", "ray start # RAY_AUTH_MODE=token"),
        "open",
    ),
    "Ray's own start": (lambda values: values.pop(HEAD), "Ray's default is open"),
    "open dashboard": (
        replace_start(HEAD, "--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0"),
        "expected 127.0.0.1",
    ),
    "frozen node": (replace_start(HEAD, "RAY_health_check_", "RAY_other_"), "frozen node"),
    "no token mounted": (lambda values: values["file_mounts"].pop(TOKEN_PATH), "every node needs the token"),
    "mount of nothing": (lambda values: values["file_mounts"].update({"~/x": "no/such/folder"}), "does not exist here"),
}
AWS_CHANGES = {
    "group of Ray": (drop_node("SecurityGroupIds"), "opens SSH to the whole internet"),
    "image of Ray": (drop_node("ImageId"), "default image"),
    "IMDSv1": (drop_node("MetadataOptions"), "IMDSv2"),
    "misspelt key": (set_node("InstanceTyp", "g6.2xlarge"), "InstanceTyp"),
    "misspelt key inside": (set_node("InstanceMarketOptions", {"MarketTyp": "spot"}), "MarketTyp"),
    "wrong type": (set_node("SubnetIds2", []), "SubnetIds2"),
    "no resources": (
        lambda values: values["available_node_types"]["gpu_spot"].pop("resources"),
        "expected CPU and GPU",
    ),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", CHANGES)
def test_what_would_leave_a_cluster_open_or_blind_is_told(name, change, token):
    alter, expected = CHANGES[change]
    assert expected in "\n".join(changed(name, alter))


@pytest.mark.parametrize("change", AWS_CHANGES)
def test_what_aws_would_take_otherwise_than_meant_is_told(change, token):
    pytest.importorskip("botocore")
    alter, expected = AWS_CHANGES[change]
    (fault,) = changed("cluster.yaml", alter)
    assert expected in fault and fault.startswith("available_node_types.gpu_spot")


def test_missing_token_is_told_with_its_remedy(token):
    token.unlink()
    (fault,) = cluster_faults(filled("jobs/cluster_local.yaml"), ROOT)
    assert "get-auth-token" in fault


def test_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_text("name: a\n")
    with pytest.raises(StudyError, match="expected a cluster file"):
        read_cluster_file(tmp_path / "x.yaml")

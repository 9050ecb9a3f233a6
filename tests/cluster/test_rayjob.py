"""The manifest for Kubernetes keeps to KubeRay's schema and is closed; the image is of the pins, and no root's.

Neither has been run: there is no Kubernetes in these tests, and no Docker.
"""

from __future__ import annotations

import copy
import functools
import json
import operator
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from aesweep.cli.commands import commands
from aesweep.study.study_file import load_study
from tests.cluster.rayjob_schema import ROOT, reduced

MANIFEST = ROOT / "jobs" / "rayjob.yaml"
SCHEMA = yaml.safe_load(Path(__file__).with_name("rayjob_schema.yaml").read_text())
VALUES = {"<REGISTRY>": "registry.example/team", "<DIGEST>": "0123456789abcdef" * 4, "<BUCKET>": "our-runs"}
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()


@pytest.fixture
def job() -> dict:
    """The manifest, filled in."""
    text = MANIFEST.read_text()
    for placeholder, value in VALUES.items():
        text = text.replace(placeholder, value)
    return json.loads(json.dumps(yaml.safe_load(text)))  # nothing by reference


@pytest.fixture
def cluster(job) -> dict:
    return job["spec"]["rayClusterSpec"]


@pytest.fixture
def pods(cluster) -> list[dict]:
    """The pods' specs, the head's first."""
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def faults(job: dict) -> list[str]:
    return [f"{fault.json_path}: {fault.message}" for fault in Draft202012Validator(SCHEMA).iter_errors(job)]


def instructions(name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in DOCKERFILE if line.startswith(f"{name} ")]


def test_manifest_keeps_to_kuberays_schema(job):
    Draft202012Validator.check_schema(SCHEMA)
    assert (job["apiVersion"], job["kind"], [*job["metadata"]]) == ("ray.io/v1", "RayJob", ["name"])
    assert faults(job) == []


def test_schema_holds_what_the_manifest_uses_and_nothing_else(job):
    assert reduced(SCHEMA, [job]) == SCHEMA


def paths(value, *at):
    """The way to every key that is a field, not a name of the user's."""
    if isinstance(value, dict) and (not at or at[-1] not in ("metadata", "rayStartParams", "requests", "limits")):
        for key, inner in value.items():
            yield (*at, key)
            yield from paths(inner, *at, key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from paths(inner, *at, number)


def test_every_misspelt_key_is_a_fault(job):
    found = list(paths(job["spec"]))
    assert len(found) > 100
    for *way, key in found:
        changed = copy.deepcopy(job)
        parent = functools.reduce(operator.getitem, way, changed["spec"])
        parent[f"{key}x"] = parent.pop(key)
        assert any(f"'{key}x' was unexpected" in fault for fault in faults(changed)), (*way, key)


@pytest.mark.parametrize(
    ("key", "value"),
    [("maxReplicas", "8"), ("minReplicas", None), ("rayStartParams", {"num-cpus": 8}), ("template", [])],
)
def test_wrong_type_is_a_fault(job, cluster, key, value):
    cluster["workerGroupSpecs"][0][key] = value
    (fault,) = faults(job)
    assert f"workerGroupSpecs[0].{key}" in fault


def test_cluster_answers_only_who_has_the_token(cluster):
    assert cluster["authOptions"] == {"mode": "token"}  # a token of KubeRay's own making


def test_pods_run_as_nobody_and_can_become_nobody_else(cluster, pods):
    for pod in pods:
        user = pod["securityContext"]
        assert user["runAsNonRoot"] is True and user["seccompProfile"] == {"type": "RuntimeDefault"}
        assert [str(user["runAsUser"])] == instructions("USER")
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & {*pod}
        assert all({*volume} <= {"name", "emptyDir", "configMap"} for volume in pod["volumes"])
    for container in (cluster["autoscalerOptions"], *(c for pod in pods for c in pod["containers"])):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert all(pod["automountServiceAccountToken"] is False for pod in pods[1:])  # the head's autoscaler needs its own


def test_mounts_are_of_volumes_that_there_are(cluster, pods):
    mounts = [{m["name"] for c in pod["containers"] for m in c["volumeMounts"]} for pod in pods]
    mounts[0] |= {mount["name"] for mount in cluster["autoscalerOptions"]["volumeMounts"]}
    assert mounts == [{volume["name"] for volume in pod["volumes"]} for pod in pods]


def test_no_secret_stands_in_the_manifest(pods):
    text = MANIFEST.read_text().lower()
    assert not [word for word in ("akia", "password", "begin rsa", "auth_token", "secret_access_key:") if word in text]
    assert pods[0]["containers"][0]["envFrom"] == [{"secretRef": {"name": "aesweep-storage"}}]
    assert [container.get("envFrom") for pod in pods[1:] for container in pod["containers"]] == [None]


def test_images_are_named_by_digest(pods):
    for pod in pods:
        for container in pod["containers"]:
            assert re.fullmatch(r"[^:@]+@sha256:[0-9a-f]{64}", container["image"])


def test_gpu_workers_come_when_they_are_needed_and_all_goes_at_the_end(job, cluster, pods):
    assert cluster["enableInTreeAutoscaling"] is True and cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (group,) = cluster["workerGroupSpecs"]
    assert group["minReplicas"] == group["replicas"] == 0 < group["maxReplicas"]
    assert pods[1]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert job["spec"]["shutdownAfterJobFinishes"] is True and job["spec"]["ttlSecondsAfterFinished"] > 0


def test_commands_are_those_that_there_are_and_keep_the_run_in_the_storage(job, pods):
    values = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert f"ray[default,tune]=={job['spec']['rayClusterSpec']['rayVersion']}" in values["project"]["dependencies"]
    assert {"name": "AESWEEP_STORAGE", "value": "s3://our-runs/runs"} in pods[0]["containers"][0]["env"]
    pull, run = (shlex.split(part.removeprefix(" exec ")) for part in job["spec"]["entrypoint"].split("&&"))
    assert pull[:3] == ["aesweep", "data", "pull"] and run[:2] == ["aesweep", "run"]
    for command, words in ((commands.commands["data"].commands["pull"], pull[3:]), (commands.commands["run"], run[2:])):
        context = command.make_context("aesweep", list(words))
    study = load_study(ROOT / "jobs" / "mnist.yaml", context.params["overrides"])
    assert study.resources.is_auto and context.params["address"] == "auto"
    assert job["spec"]["metadata"] == {"aesweep_run": study.name}
    assert pull[3] in [dataset.name for dataset in study.datasets]


def test_image_is_made_of_a_base_by_digest_and_of_the_pins_and_ends_as_nobody():
    (base,) = instructions("FROM")
    assert re.fullmatch(r"python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", base)
    assert not instructions("ADD") and not instructions("ARG") and not instructions("ENV")
    (user,) = instructions("USER")
    assert int(user) > 0 and f"--uid {user} " in " ".join(instructions("RUN"))
    install = instructions("RUN")[-1]
    assert "--constraint /src/.ci/constraints.txt '/src[aws]'" in install and "--compile" in install
    assert [line.split()[0] for line in DOCKERFILE if line and not line.startswith("#")].index("USER") > 3


def test_image_holds_the_project_and_nothing_else_of_the_folder():
    everything, *kept, compiled = (ROOT / ".dockerignore").read_text().splitlines()
    assert (everything, compiled) == ("*", "**/__pycache__")
    names = {name.removeprefix("!") for name in kept}
    assert names == {".ci/constraints.txt", "pyproject.toml", "README.md", "sweep", "models", "data"}
    assert all((ROOT / name).exists() for name in names)

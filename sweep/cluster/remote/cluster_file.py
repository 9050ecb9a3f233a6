"""Reading and checking of a cluster file for Ray's launcher: open access, unfilled placeholders, misspelt names.

Ray's own check accepts most of these faults: it allows anything in `node_config`, and requires no token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aesweep.cluster.remote.token import TOKEN_PATH
from aesweep.process.errors import StudyError
from aesweep.study.safe_yaml import read_yaml

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]*>")
# Keys of a node_config that Ray reads itself and that are no parameters of AWS's RunInstances.
_RAYS_OWN = {"SubnetIds"}


def read_cluster_file(path: Path) -> dict[str, Any]:
    """Reads a cluster file and returns its plain values.

    Raises:
        StudyError: the file cannot be read, or is no cluster file.
    """
    values = read_yaml(path)
    if not isinstance(values, dict) or not isinstance(values.get("provider"), dict):
        raise StudyError(str(path), ["expected a cluster file of Ray: a mapping with cluster_name, provider, auth"])
    return values


def cluster_faults(values: dict[str, Any], folder: Path) -> list[str]:
    """Returns all faults of a cluster file, each with its dotted key.

    Args:
        values: the file's values.
        folder: the folder from which `ray up` is called, to which the local paths of file mounts are relative.
    """
    faults = [*_unfilled(values), *_open_starts(values), *_mount_faults(values, folder)]
    if values["provider"].get("type") == "aws":
        faults += [fault for name, node in _node_types(values) for fault in _aws_faults(name, node)]
    return faults


def named_storage(values: dict[str, Any]) -> str | None:
    """Returns the storage of a cluster's runs, if its file sets AESWEEP_STORAGE; else None."""
    starts = " ".join(str(command) for command in values.get("head_start_ray_commands") or ())
    found = re.search(r"\bAESWEEP_STORAGE=(\S+)", starts)
    return found[1] if found and not _PLACEHOLDER.search(found[1]) else None


def most_gpus(values: dict[str, Any]) -> float:
    """Returns how many GPUs the workers of a faultless cluster file can have at most; 0 for on-premises machines."""
    limit = values.get("max_workers", 0)
    nodes = [
        (node.get("resources") or {}).get("GPU", 0)
        for name, node in (values.get("available_node_types") or {}).items()
        if name != values["head_node_type"]
        for _ in range(node.get("max_workers", limit))
    ]
    return sum(sorted(nodes, reverse=True)[:limit])


def _unfilled(values: Any, key: str = "") -> Iterator[str]:
    if isinstance(values, dict):
        for name, value in values.items():
            yield from _unfilled(value, f"{key}.{name}" if key else str(name))
    elif isinstance(values, list):
        for number, value in enumerate(values):
            yield from _unfilled(value, f"{key}[{number}]")
    elif isinstance(values, str):
        for found in dict.fromkeys(_PLACEHOLDER.findall(values)):
            yield f"{key}: {found} is a placeholder: fill it in"


def _open_starts(values: dict[str, Any]) -> Iterator[str]:
    """Yields faults of start commands that leave the cluster open, or a frozen node undetected."""
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        starts = [str(command) for command in values.get(key) or () if "ray start" in str(command)]
        if not starts:
            yield f"{key}: expected a `ray start` of its own: Ray's default is open to whoever reaches its ports"
        for start in starts:
            if "RAY_AUTH_MODE=token" not in start.partition("ray start")[0]:
                yield f"{key}: expected RAY_AUTH_MODE=token before `ray start`: without it the cluster is open"
            found = re.search(r"--dashboard-host[= ](\S+)", start)
            if found and found[1] not in ("127.0.0.1", "localhost"):
                yield f"{key}: --dashboard-host={found[1]}: expected 127.0.0.1; `ray dashboard` makes a tunnel to it"
            if "--head" in start and "RAY_health_check_" not in start:
                yield f"{key}: expected RAY_health_check_* settings: a frozen node is noticed after a minute otherwise"


def _mount_faults(values: dict[str, Any], folder: Path) -> Iterator[str]:
    mounts = values.get("file_mounts") or {}
    if TOKEN_PATH not in mounts:
        yield f"file_mounts: expected {TOKEN_PATH}: every node needs the token"
    for remote, local in mounts.items():
        if not (folder / Path(str(local)).expanduser()).exists():
            yield f"file_mounts.{remote}: {local} does not exist here" + (
                ": `(umask 077; ray get-auth-token --generate > /dev/null)` makes it" if remote == TOKEN_PATH else ""
            )


def _node_types(values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, node in (values.get("available_node_types") or {}).items():
        yield f"available_node_types.{name}", node if isinstance(node, dict) else {}


def _aws_faults(key: str, node: dict[str, Any]) -> Iterator[str]:
    config = node.get("node_config") or {}
    if not node.get("resources"):
        yield f"{key}.resources: expected CPU and GPU: the autoscaler knows of no others"
    for name, why in (
        ("SecurityGroupIds", "the group that Ray creates by itself opens SSH to the whole internet"),
        ("ImageId", "Ray's default image is of 2018"),
        ("SubnetIds", "Ray's choice may lie in another network than the security group"),
    ):
        if not config.get(name):
            yield f"{key}.node_config.{name}: is missing: {why}"
    if (config.get("MetadataOptions") or {}).get("HttpTokens") != "required":
        yield f"{key}.node_config.MetadataOptions: expected HttpTokens: required (IMDSv2 alone)"
    yield from (f"{key}.node_config: {fault}" for fault in _parameter_faults(config))


def _parameter_faults(config: dict[str, Any]) -> list[str]:
    """Returns violations of AWS's own schema of RunInstances by a node's parameters: names and types, at any depth."""
    try:
        import botocore.session
        from botocore.validate import ParamValidator
    except ImportError:
        return ["cannot be checked without botocore: pip install 'aesweep[aws]'"]
    shape = botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape
    parameters = {name: value for name, value in config.items() if name not in _RAYS_OWN}
    report = ParamValidator().validate({"MinCount": 1, "MaxCount": 1, **parameters}, shape)
    # The list of all known names, which botocore appends, is cut off because it is a page long.
    lines = report.generate_report().splitlines()
    return [line.partition(", must be one of:")[0] for line in lines if line]

"""A Ray cluster of several nodes on this machine, in a process, a temporary folder and on ports of its own.

Closed by a token that is made for it: whoever is to reach it needs the environment in `LocalNodes.environment`. Run as
a script, this file is the process that holds the nodes until its stdin ends.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


class LocalNodes:
    """The nodes; the first is the head.

    Args:
        specifications: for each node, arguments of `ray.cluster_utils.Cluster.add_node`.
        environment: what is set for all of Ray's processes.

    Attributes:
        address: of the head, host:port.
        environment: of processes that may reach the cluster.
        folder: everything of Ray's lies in it.
        raylets: the process number of each node's raylet.
        ids: each node's id.
    """

    def __init__(self, specifications: list[dict[str, Any]], environment: dict[str, str] | None = None):
        self.folder = Path(tempfile.mkdtemp(prefix="aesweep-", dir="/tmp"))
        (self.folder / "ray").mkdir()
        self.environment = {
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(self.folder),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            **(environment or {}),
        }
        command = [sys.executable, __file__, json.dumps(specifications)]
        with open(self.folder / "log", "wb") as log:
            self._process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        line = self._process.stdout.readline()
        if not line:
            text = (self.folder / "log").read_text()[-3000:]
            self.__exit__()
            raise RuntimeError(f"the nodes did not start: {text}")
        found = json.loads(line)
        self.address, self.raylets, self.ids = found["address"], found["raylets"], found["ids"]

    def __enter__(self) -> LocalNodes:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self, node: int) -> list[int]:
        """The raylet of a node and what it started, which is all that a node is but for the head's own services."""
        parents = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
        found, ring = [], {self.raylets[node]}
        while ring:
            found += ring
            ring = {pid for pid, parent in parents.items() if parent in ring} - set(found)
        return found


def hold(specifications: list[dict[str, Any]]) -> None:
    """Starts the nodes, says where they are, and ends them when stdin ends."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    common = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100_000_000}
    try:
        nodes = [cluster.add_node(**{**common, **specification}) for specification in specifications]
        raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
        ids = [node.node_id for node in nodes]
        print(json.dumps({"address": cluster.address, "raylets": raylets, "ids": ids}), flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    hold(json.loads(sys.argv[1]))

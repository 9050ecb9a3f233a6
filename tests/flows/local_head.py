"""A head of Ray on loopback that takes jobs, closed by a token, with a home of its own."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from tests.cluster.local_nodes import LocalNodes

ADDRESS = "127.0.0.2"  # Ray takes 127.0.0.1 for a name of this machine, and puts another address in its place


class LocalHead(LocalNodes):
    """One node with one core.

    Args:
        home: an empty folder; runs lie in it as on a user's cluster.

    Attributes:
        url: of the dashboard.
        runs: where runs lie.
    """

    def __init__(self, home: Path):
        dashboard, agent = _free_port("127.0.0.1"), _free_port(ADDRESS)
        specification = {
            "num_cpus": 1,
            "include_dashboard": True,
            "dashboard_host": "127.0.0.1",
            "dashboard_port": dashboard,
            "dashboard_agent_listen_port": agent,
            "node_ip_address": ADDRESS,
        }
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        # A stopped job is waited for as the cluster files that ship ask for it.
        super().__init__([specification], {"HOME": str(home), "PATH": path, "RAY_JOB_STOP_WAIT_TIME_S": "60"})
        self.url = f"http://127.0.0.1:{dashboard}"
        self.runs = home / "aesweep-runs"


def _free_port(address: str) -> int:
    with socket.create_server((address, 0)) as free:
        return free.getsockname()[1]

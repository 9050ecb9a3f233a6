"""Preemption of a spot instance: Ray starts nothing new on it, and its trials keep a state after every epoch.

AWS announces an interruption two minutes before, in the instance's own metadata (EC2's user guide: Spot Instance
interruption notices). What the trials train in that time is recorded; only the epoch under way is lost.
"""

from __future__ import annotations

import subprocess
import sys
import time

import requests

from aesweep.training.checkpoints.preemption import leaving_note

METADATA = "http://169.254.169.254/latest"
LIMIT_S = 2.0  # of each request
REMAINING_S = 110  # of the two minutes, with a margin


def leave_on_notice(metadata: str = METADATA, every_s: float = 5.0) -> None:
    """Waits, without a limit, for the interruption notice, and then prepares this node for its preemption.

    Args:
        metadata: address of the instance's metadata service.
        every_s: time between two requests, in seconds.
    """
    note = leaving_note()
    note.unlink(missing_ok=True)  # from an earlier start of this node
    while not _is_noticed(metadata):
        time.sleep(every_s)
    note.touch()
    drain_node()


def _is_noticed(metadata: str) -> bool:
    """Returns whether the instance is to be stopped or terminated; False also where the service does not answer."""
    try:
        life = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        with requests.Session() as session:
            session.trust_env = False  # no proxy can reach the service, which is local to the instance
            token = session.put(f"{metadata}/api/token", headers=life, timeout=LIMIT_S)
            asked = {"X-aws-ec2-metadata-token": token.text}
            where = f"{metadata}/meta-data/spot/instance-action"
            return session.get(where, headers=asked, timeout=LIMIT_S, allow_redirects=False).status_code == 200
    except requests.RequestException:
        return False


def drain_node(*arguments: str) -> None:
    """Asks Ray to start nothing more on this node.

    Args:
        arguments: further arguments of `ray drain-node`, to name another cluster or node.
    """
    reason = ("--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "the spot instance is taken away")
    words = ("drain-node", *reason, "--deadline-remaining-seconds", str(REMAINING_S), *arguments)
    subprocess.run([sys.executable, "-m", "ray.scripts.scripts", *words], check=True)  # noqa: S603 - words of ours, and no shell

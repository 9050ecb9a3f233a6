"""A spot instance that is about to be taken away: Ray sends nothing new there, and its trials keep every epoch.

AWS says so two minutes before, in the metadata that an instance has of itself (EC2's user guide: Spot Instance
interruption notices). What the trials still train in that time is recorded; what they lose is the epoch under way.
"""

from __future__ import annotations

import subprocess
import sys
import time

import requests

from aesweep.training.checkpoints.preemption import leaving_note

METADATA = "http://169.254.169.254/latest"
LIMIT_S = 2.0  # of each question
REMAINING_S = 110  # of the two minutes


def leave_on_notice(metadata: str = METADATA, every_s: float = 5.0) -> None:
    """Waits for the notice, however long, and then prepares this node for its end.

    Args:
        metadata: where the instance's metadata service is.
        every_s: how often it is asked.
    """
    note = leaving_note()
    note.unlink(missing_ok=True)  # of an earlier start of this node
    while not _is_noticed(metadata):
        time.sleep(every_s)
    note.touch()
    drain_node()


def _is_noticed(metadata: str) -> bool:
    """Whether the instance is to be stopped or ended; False also where nobody answers."""
    try:
        life = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        with requests.Session() as session:
            session.trust_env = False  # the service is this machine's own: no proxy knows of it
            token = session.put(f"{metadata}/api/token", headers=life, timeout=LIMIT_S)
            asked = {"X-aws-ec2-metadata-token": token.text}
            where = f"{metadata}/meta-data/spot/instance-action"
            return session.get(where, headers=asked, timeout=LIMIT_S, allow_redirects=False).status_code == 200
    except requests.RequestException:
        return False


def drain_node(*arguments: str) -> None:
    """Asks Ray to start nothing more on this node.

    Args:
        arguments: of `ray drain-node`, to name another cluster or node.
    """
    reason = ("--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "the spot instance is taken away")
    words = ("drain-node", *reason, "--deadline-remaining-seconds", str(REMAINING_S), *arguments)
    subprocess.run([sys.executable, "-m", "ray.scripts.scripts", *words], check=True)  # noqa: S603 - words of ours, and no shell

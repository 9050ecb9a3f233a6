"""The GPUs of a cluster: asked for, waited for with a word, and not without an end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from aesweep.process.errors import AesweepError
from aesweep.process.wording import agree, plural

SAY_INTERVAL_S = 10.0


def wait_for_gpus(
    least_gpus: float,
    num_gpus: int | None,
    limit_s: float,
    say: Callable[[str], None],
    stop_requested: Callable[[], bool],
) -> None:
    """Returns once the GPUs are up, or the limit is over and there are enough to train at all.

    The autoscaler, where there is one, is asked for all of them at once; otherwise it would start them as trials queue.

    Args:
        least_gpus: what one trial holds, or all trainers together; nothing can be trained with fewer.
        num_gpus: how many to wait for; None for no more than these.
        limit_s: how long.
        say: takes 'n of m GPUs up'.
        stop_requested: ends the waiting.

    Raises:
        AesweepError: the limit is over and nothing could be trained.
    """
    import ray
    from ray.autoscaler.sdk import request_resources

    least = math.ceil(least_gpus)
    wanted = max(least, num_gpus or 0)
    if wanted == 0:
        return
    started, said, said_at = time.monotonic(), None, 0.0
    request_resources(bundles=[{"GPU": 1}] * wanted)
    try:
        while True:
            num_up = int(ray.cluster_resources().get("GPU", 0))
            now = time.monotonic()
            if num_up != said or now - said_at > SAY_INTERVAL_S:
                say(f"{num_up} of {plural(wanted, 'GPU')} up")
                said, said_at = num_up, now
            if num_up >= wanted or stop_requested():
                return
            if now - started > limit_s:
                break
            time.sleep(0.5)
    finally:
        # Trials ask for what they need themselves; a standing request would keep idle nodes for ever.
        request_resources(bundles=[])
    if num_up < least:
        raise AesweepError(
            f"{num_up} of {plural(wanted, 'GPU')} {agree(num_up, 'was', 'were')} up after {limit_s:g} s, "
            f"and the study's resources need {least_gpus:g}: "
            "look at `ray status`, give a longer --gpu-wait, or ask for fewer in `resources`"
        )
    say(f"going on with {num_up} of {plural(wanted, 'GPU')}")


def count_gpus(address: str) -> float:
    """Those of a cluster's nodes that are up. Raises AesweepError where its dashboard cannot be reached.

    Args:
        address: of the dashboard, such as http://127.0.0.1:8265.
    """
    from aesweep.cluster.remote.address import dashboard_address, reach_dashboard

    address = dashboard_address(address)
    reach_dashboard(address)
    from ray.util.state import list_nodes

    nodes = list_nodes(address=address, filters=[("state", "=", "ALIVE")])
    return sum(node.resources_total.get("GPU", 0) for node in nodes)

"""The GPUs of a cluster: requesting them, waiting for them with progress messages and a limit, and counting them."""

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
    """Waits until the GPUs are up, or until the limit is over and there are enough to train at all.

    An autoscaler, where there is one, is asked for all GPUs at once; otherwise it would start them as trials queue.

    Args:
        least_gpus: the GPUs that one trial holds, or all trainers together; nothing can be trained with fewer.
        num_gpus: how many GPUs to wait for; None for no more than `least_gpus`.
        limit_s: longest time to wait, in seconds.
        say: called with messages such as 'n of m GPUs up'.
        stop_requested: ends the waiting once it returns true.

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
        # Trials request what they need themselves; a standing request would keep idle nodes without end.
        request_resources(bundles=[])
    if num_up < least:
        raise AesweepError(
            f"{num_up} of {plural(wanted, 'GPU')} {agree(num_up, 'was', 'were')} up after {limit_s:g} s, "
            f"and the study's resources need {least_gpus:g}: "
            "look at `ray status`, give a longer --gpu-wait, or ask for fewer in `resources`"
        )
    say(f"going on with {num_up} of {plural(wanted, 'GPU')}")


def count_gpus(address: str) -> float:
    """Returns the number of GPUs of a cluster's nodes that are up.

    Args:
        address: address of the dashboard, such as http://127.0.0.1:8265.

    Raises:
        AesweepError: the dashboard cannot be reached.
    """
    from aesweep.cluster.remote.address import dashboard_address, reach_dashboard

    address = dashboard_address(address)
    reach_dashboard(address)
    from ray.util.state import list_nodes

    nodes = list_nodes(address=address, filters=[("state", "=", "ALIVE")])
    return sum(node.resources_total.get("GPU", 0) for node in nodes)

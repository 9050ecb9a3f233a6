"""A Ray of a test's own in this process, closed to the network, with a folder that goes with it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def local_ray(num_cpus: int, num_gpus: int = 0) -> Iterator[Path]:
    """Starts it as a run does; gives the folder.

    Args:
        num_cpus: told to Ray.
        num_gpus: told to Ray; they need not be there.
    """
    from aesweep.cluster import runner

    for name, value in runner._ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    ray.init(
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100_000_000,
        _temp_dir=folder,
        _node_ip_address="127.0.0.1",
    )
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        yield Path(folder)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)

"""Jobs as a Ray Tune run, on this machine or on the cluster that this one is part of."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from data.datasets import ImageData
from sweep.cluster.address import reach_head
from sweep.errors import AesweepError
from sweep.files import Files
from sweep.job import Job
from sweep.recorder import Recorder
from sweep.study import Resources

# Ray reads these when it is imported and when it starts; what the user has set stands.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "OMP_NUM_THREADS": "1",
}


MAX_TEMPORARY_PATH = 30  # characters


class Cluster:
    """A running Ray with the images of a study in its object store.

    Args:
        images: the data sets, by name.
        files: of the run, as this process sees them.
        num_workers: trials that train at once on this machine; ignored with an address.
        address: of a running Ray cluster, or None to start one on this machine alone, closed to the network.

    Raises:
        AesweepError: Ray cannot be started or reached.
    """

    def __init__(self, images: dict[str, ImageData], files: Files, num_workers: int, address: str | None = None):
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import ray

        # Ray's sockets lie in its folder, and a socket's path has room for 100 characters or so.
        short = "/tmp" if len(tempfile.gettempdir()) > MAX_TEMPORARY_PATH else None  # noqa: S108 - mkdtemp is private
        self._folder = tempfile.mkdtemp(prefix="aesweep-", dir=short)
        local = {
            "num_cpus": num_workers,
            "include_dashboard": False,
            "_temp_dir": self._folder,
            "_node_ip_address": "127.0.0.1",
            "object_store_memory": _object_store_bytes(images),
        }
        try:
            if address:
                reach_head(address)
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({} if address else local),
            )
            self._images = {name: ray.put(data) for name, data in images.items()}
            self._files = _reachable(files) if address else files
        except AesweepError:
            self.__exit__()
            raise
        except Exception as error:
            self.__exit__()
            where = f"the Ray cluster at {address}" if address else "Ray on this machine"
            raise AesweepError(f"{where} could not be started or reached: {str(error).splitlines()[0]}") from error

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        ray.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)

    def wait_for_gpus(
        self,
        resources: Resources,
        num_gpus: int | None,
        limit_s: float,
        say: Callable[[str], None],
        stop_requested: Callable[[], bool],
    ) -> None:
        """Waits for the cluster's GPUs; see `sweep.cluster.gpus`."""
        from sweep.cluster.gpus import wait_for_gpus

        wait_for_gpus(resources.gpus_per_trial, num_gpus, limit_s, say, stop_requested)

    def train(
        self,
        jobs: Iterable[Job],
        *,
        recorder: Recorder,
        resources: Resources,
        stop_requested: Callable[[], bool],
    ) -> None:
        """Trains the jobs in their order, as many at once as there is room for.

        Args:
            jobs: what to train; the recorder has opened them.
            recorder: records what they report, and says which of them go on.
            resources: what each trial holds.
            stop_requested: asked all the time; once true, trials are ended and recorded as interrupted.
        """
        from ray import tune

        from sweep.cluster.scheduler import RecordingScheduler
        from sweep.cluster.trial import train_trial

        _check_room(resources)
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failures are recorded and said by the recorder
        scheduler = RecordingScheduler(recorder, stop_requested)

        class Requested(tune.Stopper):
            def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
                return False

            def stop_all(self) -> bool:
                return stop_requested() or scheduler.error is not None

            def __getstate__(self) -> dict[str, Any]:
                return {}

        trainable = tune.with_resources(
            tune.with_parameters(train_trial, images=self._images, files=self._files),
            {"CPU": 1, "GPU": resources.gpus_per_trial},
        )
        tune.Tuner(
            trainable,
            param_space={"job": tune.grid_search(list(jobs))},
            tune_config=tune.TuneConfig(scheduler=scheduler, reuse_actors=True),
            run_config=tune.RunConfig(
                storage_path=os.path.join(self._folder, "tune"),
                verbose=0,
                stop=Requested(),
                log_to_file=False,
                # Without a limit here: the recorder knows which failure is worth another attempt, and how many.
                failure_config=tune.FailureConfig(max_failures=-1),
            ),
        ).fit()
        if scheduler.error:
            raise scheduler.error
        recorder.end_unfinished("the run was interrupted")


def _reachable(files: Files) -> Files:
    from sweep.cluster.file_keeper import KeptFiles

    return KeptFiles(files)


def _check_room(resources: Resources) -> None:
    """Raises AesweepError where no node has what a trial asks for: Ray would wait for it without an end."""
    import ray

    most = max((node["Resources"].get("GPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
    if resources.gpus_per_trial > most:
        raise AesweepError(
            f"resources.gpus_per_trial: {resources.gpus_per_trial:g} asked for, but no node has more than {most:g}; "
            "set it to 0 to train on CPUs"
        )


def _object_store_bytes(images: dict[str, ImageData]) -> int:
    """Room for the images and Ray's own needs; the default takes a third of the machine's memory."""
    num_bytes = sum(data.training.nbytes + data.test.nbytes for data in images.values())
    return max(200_000_000, int(1.5 * num_bytes))

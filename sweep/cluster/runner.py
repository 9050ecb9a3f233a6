"""Training of trials with Ray Tune, on this machine or on the cluster that this machine is part of."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aesweep.cluster.remote.address import reach_head
from aesweep.cluster.room import Node, check_room, num_places
from aesweep.cluster.tune.placement import Placement
from aesweep.cluster.tune.processes import kill_processes, started_processes
from aesweep.cluster.tune.scratch_folder import ScratchFolder
from aesweep.data.datasets import ImageData
from aesweep.process.environment import prepare_local_ray
from aesweep.process.errors import AesweepError
from aesweep.process.search_path import hidden_from_workers
from aesweep.process.signals import Interruption
from aesweep.search.recorder import Recorder
from aesweep.search.retry_policy import Cause
from aesweep.search.trial_queue import TrialQueue
from aesweep.storage.artifacts import Files
from aesweep.study.resources import Resources

if TYPE_CHECKING:
    from aesweep.cluster.tune.session import TuneSession

# Ray reads these when it is imported and when it starts. For a cluster, values that the user has set are kept.
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


FOLLOWER_BYTES = 100_000_000  # memory of the process of a trial that a trainer trains


class Cluster:
    """A running Ray with the images of a study in its object store.

    Args:
        images: the data sets, by name.
        files: the run's files, as this process accesses them.
        num_workers: how many trials train at once; None for as many as a cluster has room for.
        address: address of a running Ray cluster; None to start Ray on this machine alone, closed to the network.
        note: file in which the run notes the folder that Ray uses on this machine, see `ScratchFolder`.
        interruption: the run's interruption; a second request ends Ray as well.

    Raises:
        AesweepError: Ray cannot be started or reached.
    """

    def __init__(
        self,
        images: dict[str, ImageData],
        files: Files,
        num_workers: int | None,
        address: str | None,
        note: Path,
        interruption: Interruption,
    ):
        if address is None:
            prepare_local_ray(_ENVIRONMENT)
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import ray

        self._is_local = address is None
        # Ray itself starts no more on this machine than it has cores, and begins with the next ones ahead of time. One
        # at a time is kept to by the session, so that a trial that is tried again does not let another one pass.
        self._most_at_once = num_workers if address or num_workers == 1 else None
        self._scratch = ScratchFolder(note)
        self._interruption = interruption
        self._ends = contextlib.ExitStack()
        self._ends.enter_context(interruption.last_step(self._end_at_once))
        local = {
            "num_cpus": num_workers,
            "include_dashboard": False,
            "_temp_dir": str(self._scratch.path),
            "_node_ip_address": "127.0.0.1",
            "object_store_memory": _object_store_bytes(images),
            **_quoted_interpreter(),
        }
        self._trainers: list[Any] = []
        self._session: TuneSession | None = None
        try:
            if address:
                reach_head(address)
            with hidden_from_workers(str(self._scratch.path)), interruption.held_back():
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

        with self._ends:
            if self._session is not None:
                self._session.close()
            processes = started_processes()
            if processes and self._is_local:
                from aesweep.cluster.tune.internals import end_local_node_by

                end_local_node_by(lambda: kill_processes(processes))
            with self._interruption.held_back():  # Ray's shutdown removes our SIGTERM handler
                ray.shutdown()
            kill_processes(processes)  # Ray's agents would exit only a minute later
            self._scratch.remove()

    def _end_at_once(self) -> None:
        kill_processes(started_processes())
        self._scratch.remove()

    def wait_for_gpus(
        self,
        resources: Resources,
        num_gpus: int | None,
        limit_s: float,
        say: Callable[[str], None],
        stop_requested: Callable[[], bool],
    ) -> None:
        """Waits for the GPUs of a cluster; on this machine alone there is nothing to wait for.

        Args:
            resources: what each trial, or each trainer, holds.
            num_gpus: how many GPUs to wait for; None for no more than the resources need.
            limit_s: longest time to wait, in seconds.
            say: called with progress messages.
            stop_requested: ends the waiting once it returns true.

        Raises:
            AesweepError: the GPUs without which nothing can be trained are not there.
        """
        from aesweep.cluster.remote.gpus import wait_for_gpus

        if not self._is_local:
            # Where it is left open what trains, whoever waits for GPUs means to have one.
            least = min(1, num_gpus or 0) if resources.is_auto else resources.least_gpus
            wait_for_gpus(least, num_gpus, limit_s, say, stop_requested)

    def nodes(self) -> list[Node]:
        """Returns the machines that are up."""
        import ray

        found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return [Node(node.get("CPU", 0), node.get("GPU", 0)) for node in found]

    def call_on_gpu(self, function: Callable[..., Any], *arguments: Any, num_gpus: float, limit_s: float) -> Any:
        """Calls a function in a process that holds a core and so many GPUs, and returns its result.

        Raises:
            AesweepError: it has not returned after `limit_s` seconds, or the run is being interrupted.
            Exception: what the function raised, as the `cause` of Ray's error.
        """
        import ray

        answer = ray.remote(num_cpus=1, num_gpus=num_gpus, max_retries=0)(function).remote(*arguments)
        deadline = time.monotonic() + limit_s
        while not ray.wait([answer], timeout=0.2)[0]:
            if self._interruption.requested() or time.monotonic() > deadline:
                ray.cancel(answer, force=True)
                raise AesweepError(f"it gave no answer within {limit_s:g} s")
        return ray.get(answer)

    def check_room(self, resources: Resources) -> None:
        """Raises AesweepError where resources, with a number of trainers, have no room, see `room.check_room`."""
        check_room(resources, self.nodes(), may_grow=not self._is_local)

    def train(
        self,
        queue: TrialQueue,
        *,
        recorder: Recorder,
        resources: Resources,
        stop_requested: Callable[[], bool],
    ) -> None:
        """Trains the trials in their order, as many at once as the resources allow.

        Args:
            queue: gives the trials to train, each of which the recorder has opened.
            recorder: records what the trials report, and decides which of them continue.
            resources: what each trial, or each trainer, holds; with a number of trainers.
            stop_requested: polled throughout; once it returns true, trials are ended and recorded as interrupted.
        """
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the recorder records and reports failures
        while len(queue) and not stop_requested():
            placement = None
            if resources.trainers:
                placement = Placement(resources.trainers, resources.trials_per_trainer, len(queue))
            session = self._session_for(resources)
            session.train(queue, recorder, stop_requested, placement, lambda: self._limit(queue, resources))
            if not self._is_local:
                session.close()  # releases idle workers, so that the autoscaler may remove their nodes
            left = recorder.left()
            # A trial that Tune has lost without an error counts as failed, so that it is retried, but not without end.
            for spec in [] if session.scheduler.begins_anew or stop_requested() else left:
                recorder.fail(spec, Cause.CRASHED, "Ray Tune ended without a word on it")
            queue.replace_known(spec for spec in left if spec.trial in recorder.unfinished)
        recorder.end_unfinished("the run was interrupted")

    def _limit(self, queue: TrialQueue, resources: Resources) -> int | None:
        """Returns how many trials may be under training at once; None for as many as there is room for.

        A trial that depends on what others measure is not taken before there is room for it. On a cluster one such
        trial waits nevertheless, because an autoscaler adds nodes only for what waits.
        """
        if self._most_at_once is not None or resources.trainers or not queue.is_learning:
            return self._most_at_once
        return num_places(resources, self.nodes()) + (not self._is_local)

    def _session_for(self, resources: Resources) -> TuneSession:
        """Returns the session of the previous batch, with its workers, where it is still alive, else a new one."""
        from aesweep.cluster.tune.session import TuneSession

        if self._session is None or not self._session.is_alive:
            folder = self._scratch.path / "tune"
            self._session = TuneSession(self._trainable(resources), folder, keeps_workers=self._is_local)
        return self._session

    def _trainable(self, resources: Resources) -> Any:
        """Returns the function that Tune runs for a trial: it trains itself, or follows the training by a trainer."""
        from ray import tune

        from aesweep.cluster.tune.trial import follow_trainer, train_trial

        if not resources.trainers:
            training = tune.with_parameters(train_trial, images=self._images, files=self._files)
            return tune.with_resources(training, {"CPU": 1, "GPU": resources.gpus_per_trial})
        trainers = self._started_trainers(resources)
        following = tune.with_parameters(follow_trainer, images=self._images, files=self._files, trainers=trainers)
        # Such a trial mostly waits, so it holds no core. It holds memory because Ray requires that it hold something.
        return tune.with_resources(following, {"CPU": 0, "memory": FOLLOWER_BYTES})

    def _started_trainers(self, resources: Resources) -> list[Any]:
        """Returns the trainers, which live from stage to stage and keep the images on their devices."""
        import ray

        from aesweep.cluster.tune.trainer import Trainer

        options = {"num_cpus": 1, "num_gpus": resources.gpus_per_trainer, "max_restarts": -1}
        while len(self._trainers) < resources.trainers:
            self._trainers.append(ray.remote(Trainer).options(**options).remote())
        return self._trainers


def _reachable(files: Files) -> Files:
    from aesweep.cluster.tune.artifact_server import KeptFiles

    return KeptFiles(files)


def _quoted_interpreter() -> dict[str, Any]:
    """Returns arguments of `ray.init` for an interpreter whose path a shell would split, else none.

    Ray (2.60) starts a worker through a shell, and puts the interpreter's path into the command unquoted.
    """
    quoted = shlex.quote(sys.executable)
    return {} if quoted == sys.executable else {"runtime_env": {"py_executable": quoted}}


def _object_store_bytes(images: dict[str, ImageData]) -> int:
    """Returns the object store's size for the images and Ray's own needs; Ray's default is a third of the memory."""
    num_bytes = sum(data.training.nbytes + data.test.nbytes for data in images.values())
    return max(200_000_000, int(1.5 * num_bytes))

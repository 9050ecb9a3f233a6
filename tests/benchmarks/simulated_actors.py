"""Trials without processes in the place of Ray's actors: their next rows are always there, and a watch times them."""

from __future__ import annotations

import collections
import time
import uuid
import zlib
from types import SimpleNamespace
from typing import Any

from aesweep.search.trial_row import TrialRow

BUNDLE = 5  # rows of a simulated trial that come together, as where an epoch takes a fifth of a second


def row(spec: Any, epoch: int) -> TrialRow:
    """A row such as a trainer gives, from the trial's name alone."""
    error = (1 + zlib.crc32(spec.trial.encode()) / 2**32) / (100 * epoch)
    return TrialRow(
        epoch=epoch, loss=error, training_mse=error, validation_mse=error, validation_psnr_db=20.0, per_seed=[error],
        learning_rate=1e-3, diverged=False, seconds=0.02, held_seconds=0.02,
        is_awaited=epoch in (*spec.rungs, spec.epochs),
    )  # fmt: skip


# What Tune asks an actor itself: its process and host, for trials without a row.
HANDLE = SimpleNamespace(get_auto_filled_metrics=SimpleNamespace(remote=lambda **_: {}))


class SimulatedActors:
    """Stands in for `RayActorManager`: an actor starts at once, and each of its tasks is done when it is looked at."""

    def __init__(self, watch: Watch):
        self._pending: dict[Any, None] = {}
        self._live_actors_to_ray_actors_resources: dict[Any, tuple[Any, None]] = {}
        self._specs: dict[Any, Any] = {}
        self._tasks: collections.deque = collections.deque()
        self._epochs: collections.Counter = collections.Counter()
        self._watch = watch

    num_pending_actors = property(lambda self: len(self._pending))
    num_live_actors = property(lambda self: len(self._live_actors_to_ray_actors_resources))
    num_total_actors = property(lambda self: self.num_pending_actors + self.num_live_actors)
    num_actor_tasks = property(lambda self: len(self._tasks))

    def add_actor(self, cls: Any, kwargs: dict[str, Any], resource_request: Any, **callbacks: Any) -> Any:
        from ray.air.execution._internal.tracked_actor import TrackedActor

        actor = TrackedActor(uuid.uuid4().int, **callbacks)
        self._specs[actor] = kwargs["config"]["spec"]
        self._pending[actor] = None
        return actor

    def next(self, timeout: float) -> bool:
        if self._pending:
            actor = next(iter(self._pending))
            del self._pending[actor]
            self._live_actors_to_ray_actors_resources[actor] = (HANDLE, None)
            actor._on_start(actor)
            return True
        if not self._tasks:
            return False
        actor, method, arguments, on_result = self._tasks.popleft()
        if actor not in self._live_actors_to_ray_actors_resources or on_result is None:
            return True
        if method == "train":
            on_result(actor, self._result(actor))
        else:
            if method == "reset":
                self._specs[actor] = arguments[0]["spec"]
                self._epochs[actor] = 0
            on_result(actor, True)
        return True

    def _result(self, actor: Any) -> dict[str, Any]:
        spec = self._specs[actor]
        rows = []
        while len(rows) < BUNDLE:  # which divides the rung and the epochs
            self._epochs[actor] += 1
            rows.append(row(spec, self._epochs[actor]))
        self._watch.see(self.num_live_actors, len(rows))
        epoch = self._epochs[actor]
        own = {
            "done": False, "training_iteration": epoch, "time_total_s": 0.02 * epoch, "time_this_iter_s": 0.02,
            "timestamp": int(time.time()), "pid": 1, "hostname": "node", "node_ip": "127.0.0.1",
            "time_since_restore": 0.02 * epoch, "iterations_since_restore": epoch, "config": {"spec": spec},
        }  # fmt: skip
        return {"rows": rows, **own}

    def schedule_actor_task(
        self, tracked_actor: Any, method_name: str, args: tuple = (), kwargs: Any = None, on_result: Any = None,
        on_error: Any = None, _return_future: bool = False,
    ) -> Any:  # fmt: skip
        self._tasks.append((tracked_actor, method_name, args, on_result))
        return SimpleNamespace() if _return_future else None

    def clear_actor_task_futures(self, tracked_actor: Any) -> None:
        pass  # none is on its way: a task is scheduled when the one before it is done

    def remove_actor(self, tracked_actor: Any, kill: bool = False, stop_future: Any = None) -> bool:
        self._pending.pop(tracked_actor, None)
        was_live = self._live_actors_to_ray_actors_resources.pop(tracked_actor, None) is not None
        if was_live and tracked_actor._on_stop:
            tracked_actor._on_stop(tracked_actor)
        return was_live

    def is_actor_started(self, tracked_actor: Any) -> bool:
        return tracked_actor in self._live_actors_to_ray_actors_resources

    def is_actor_failed(self, tracked_actor: Any) -> bool:
        return False

    def get_live_actors_resources(self) -> dict[str, float]:
        return {}

    def cleanup(self) -> None:
        self._live_actors_to_ray_actors_resources.clear()


class Watch:
    """Times of the bundles that come while all trials are live, each with the number of rows before it since the first.

    All of a run's trials are live from the first bundle after the most were, and as long as none has ended.
    """

    def __init__(self) -> None:
        self.bundles: list[tuple[float, float, int]] = []
        self._most = self._num_rows = 0

    def see(self, num_live: int, num_rows: int) -> None:
        """A bundle is about to be taken."""
        if num_live > self._most:
            self._most, self.bundles, self._num_rows = num_live, [], 0
        if num_live == self._most:
            self.bundles.append((time.perf_counter(), time.process_time(), self._num_rows))
        self._num_rows += num_rows

    def row_cost(self) -> tuple[float, float]:
        """Returns the seconds and the seconds of CPU that a row took."""
        (first, first_cpu, none), (last, last_cpu, num_rows) = self.bundles[0], self.bundles[-1]
        return (last - first) / (num_rows - none), (last_cpu - first_cpu) / (num_rows - none)

"""Uses of Ray's and Tune's private interfaces during a run, for the version of Ray that is named here.

tests/cluster/test_internals.py fails where another version is installed, or where one of these names is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ray

if TYPE_CHECKING:  # a run that is interrupted before Tune has begun ends without importing it
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

RAY_VERSION = "2.60.0"


def is_being_reset(controller: TuneController, trial: Trial) -> bool:
    """Returns whether a worker is being handed to a trial at this moment.

    Where a worker is lost while it is handed over, Tune counts two failures of the trial, of which the second is final,
    and forgets that it waited for the worker.
    """
    return trial in controller._resetting_trials


def keep_workers(controller: Any, trial: Trial, number: int) -> None:
    """Keeps idle workers with a trial's resources; Tune itself keeps only as many as it has trials waiting.

    Args:
        controller: the wrapper around the controller that Tune passes to a scheduler.
        trial: a trial with the workers' resources.
        number: how many more idle workers may be kept at most.
    """
    controller._tune_controller._actor_cache.increase_max(trial.placement_group_factory, number)


def stage_first(controller: TuneController, trial: Trial) -> None:
    """Gives a trial that is retried the next free worker, before trials that have not begun.

    Tune itself puts it behind them. Trials would then reach the rungs in another order than without the failure, and
    the trial would wait behind a long queue. Requests for resources are not tied to a trial: resources that become
    available go to the first actor in line.
    """
    controller._staged_trials.add(trial)
    controller._actor_cache.increase_max(trial.placement_group_factory)
    controller._schedule_trial_actor(trial)
    line = controller._actor_manager._resource_request_to_pending_actors[trial.placement_group_factory]
    mine = controller._trial_to_actor[trial]
    if mine in line:  # else it has got a worker that another trial has just released
        line.remove(mine)
        line.insert(0, mine)


def end_local_node_by(kill: Callable[[], None]) -> None:
    """Makes Ray's shutdown on this machine call `kill`, instead of sending SIGTERM to each process and waiting for it.

    Ray would wait a second for each process in vain, because `Interruption.held_back` keeps signals from them.

    Args:
        kill: ends Ray's processes.
    """
    node = ray._private.worker._global_node
    if node is not None:
        node.kill_all_processes = lambda *_, **__: kill()

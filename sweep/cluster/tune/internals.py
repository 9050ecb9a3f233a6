"""What is asked of Ray and Tune at work beyond their public interface, for the version that is named here.

tests/cluster/test_internals.py fails where another version is installed, or where one of these names is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

RAY_VERSION = "2.60.0"
CONTROLLER_ATTRIBUTES = (
    *("_resetting_trials", "_staged_trials", "_actor_cache", "_schedule_trial_actor", "_actor_manager"),
    "_trial_to_actor",
)


def is_being_reset(controller: TuneController, trial: Trial) -> bool:
    """Whether a worker is being handed to a trial at this moment.

    Tune takes a worker that is lost while it is handed over for two failures of the trial, of which the second is
    final, and forgets that it waited for the worker.
    """
    return trial in controller._resetting_trials


def keep_workers(controller: Any, trial: Trial, number: int) -> None:
    """Lets so many workers of a trial's kind stay without a trial; Tune keeps as many as it has trials waiting.

    Args:
        controller: what a scheduler is handed, which stands before the controller itself.
        trial: one of the kind.
        number: at most.
    """
    controller._tune_controller._actor_cache.increase_max(trial.placement_group_factory, number)


def stage_first(controller: TuneController, trial: Trial) -> None:
    """Gives a trial that is tried again the next free worker, before trials that have not begun.

    Tune itself puts it behind them. Trials would then reach the rungs in another order than without the failure, and a
    long queue would keep the trial waiting. Resources are requested without regard to who asked first, and given to
    the first in line.
    """
    controller._staged_trials.add(trial)
    controller._actor_cache.increase_max(trial.placement_group_factory)
    controller._schedule_trial_actor(trial)
    line = controller._actor_manager._resource_request_to_pending_actors[trial.placement_group_factory]
    mine = controller._trial_to_actor[trial]
    if mine in line:  # else it has a worker that another trial has just let go
        line.remove(mine)
        line.insert(0, mine)


def end_local_node_by(kill: Callable[[], None]) -> None:
    """Lets Ray's end on this machine kill its processes in our way, instead of asking each for a second to end.

    They do not hear it: `Interruption.held_back` keeps signals from them.
    """
    node = ray._private.worker._global_node
    if node is not None:
        node.kill_all_processes = lambda *_, **__: kill()

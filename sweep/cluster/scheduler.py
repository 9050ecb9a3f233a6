"""What Ray Tune asks after each epoch of each trial: go on, or stop? The recorder knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sweep.failure import cause_of
from sweep.recorder import Recorder


class RecordingScheduler(FIFOScheduler):
    """Starts trials in their order and hands what they report to the recorder, in the driver alone.

    Args:
        recorder: records, and lets each cell's ASHA stop trials.
        stop_requested: whether the run is being interrupted.

    Attributes:
        error: what the recorder raised first, after which nothing is recorded; None for nothing.
    """

    def __init__(self, recorder: Recorder, stop_requested: Callable[[], bool]):
        super().__init__()
        self._recorder = recorder
        self._stop_requested = stop_requested
        self.error: Exception | None = None
        self._retried: dict[str, bool] = {}  # trials that failed and were not yet put back, and whether they go on

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray saves schedulers to restore from, and a run is only ever rebuilt from its journal."""
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        seconds = round(result["time_total_s"], 3)
        goes_on = self._record(lambda: self._recorder.take(trial.config["job"], result, seconds))
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        # A signal to the whole process group ends the workers as well: that is an interruption, and no failure.
        if self._stop_requested():
            return
        text = _newest_error(trial)
        again = self._record(lambda: self._recorder.fail(trial.config["job"], cause_of(text), _reason(text)))
        self._controller = tune_controller
        self._retried[trial.trial_id] = again is not None
        if again:
            trial.config["job"] = again

    def _record(self, record: Callable[[], Any]) -> Any:
        """What the recorder answers; None once it has failed, with the error kept for whoever started Tune."""
        if self.error is None:
            try:
                return record()
            except Exception as error:  # Tune would turn it into a text
                self.error = error
        return None

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        retried = self._retried.pop(trial.trial_id, None)
        if retried:
            _stage_first(self._controller, trial)
        elif retried is not None:
            tune_controller.stop_trial(trial)


def _stage_first(controller: TuneController, trial: Trial) -> None:
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


def _newest_error(trial: Trial) -> str:
    """What Tune wrote of a trial's newest failure, without its heading; empty for nothing."""
    path = trial.error_file
    text = Path(path).read_text(errors="replace") if path and Path(path).exists() else ""
    return re.split(r"^Failure # .*\n", text, flags=re.MULTILINE)[-1]


def _reason(text: str) -> str:
    """The last line of an error, without Ray's advice and the addresses in it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = (
        re.split(r" (?:Worker exit detail|Owner Id|Some common causes|The node with)\b", lines[-1])[0] if lines else ""
    )
    return last[:300] or "the worker process ended without a word"

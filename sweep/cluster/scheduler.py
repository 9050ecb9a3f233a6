"""What Ray Tune asks after each epoch of each trial: go on, or stop? The recorder knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sweep.recorder import Recorder


class RecordingScheduler(FIFOScheduler):
    """Starts trials in their order and hands what they report to the recorder, in the driver alone.

    Args:
        recorder: records, and lets each cell's ASHA stop trials.
        stop_requested: whether the run is being interrupted.
    """

    def __init__(self, recorder: Recorder, stop_requested: Callable[[], bool]):
        super().__init__()
        self._recorder = recorder
        self._stop_requested = stop_requested

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray saves schedulers to restore from, and a run is only ever rebuilt from its journal."""
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        seconds = round(result["time_total_s"], 3)
        goes_on = self._recorder.take(trial.config["job"], result, seconds)
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        # A signal to the whole process group ends the workers as well: that is an interruption, and no failure.
        if not self._stop_requested():
            self._recorder.fail(trial.config["job"], _reason(trial))


def _reason(trial: Trial) -> str:
    error = trial.get_error()
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] if error else []
    return lines[-1][:500] if lines else "the worker process ended without a word"

"""What Ray Tune asks after each epoch of each trial: go on, or stop? The recorder knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sweep.cluster.placement import Placement
from sweep.recorder import Recorder


class RecordingScheduler(FIFOScheduler):
    """Starts trials in their order and hands what they report to the recorder, in the driver alone.

    Args:
        recorder: records, and lets each cell's ASHA stop trials.
        stop_requested: whether the run is being interrupted.
        placement: says to which trainer a trial goes; None where trials train in their own processes.
    """

    def __init__(self, recorder: Recorder, stop_requested: Callable[[], bool], placement: Placement | None = None):
        super().__init__()
        self._placement = placement
        self._held_seconds: dict[str, float] = {}
        self._recorder = recorder
        self._stop_requested = stop_requested

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray saves schedulers to restore from, and a run is only ever rebuilt from its journal."""
        return {}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        if self._placement:
            trial.config["trainer"] = self._placement.place(trial.config["job"])
        super().on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        job = trial.config["job"]
        seconds = result["time_total_s"]
        if self._placement:
            # Others trained meanwhile: what counts is the trial's share of its trainer's time.
            seconds = self._held_seconds[job.trial] = self._held_seconds.get(job.trial, 0.0) + result["held_seconds"]
        goes_on = self._recorder.take(job, result, round(seconds, 3))
        if not goes_on:
            self._leave(trial)
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._leave(trial)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        self._leave(trial)

    def _leave(self, trial: Trial) -> None:
        if self._placement:
            self._placement.leave(trial.config["job"])

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self._leave(trial)
        # A signal to the whole process group ends the workers as well: that is an interruption, and no failure.
        if not self._stop_requested():
            self._recorder.fail(trial.config["job"], _reason(trial))


def _reason(trial: Trial) -> str:
    error = trial.get_error()
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] if error else []
    return lines[-1][:500] if lines else "the worker process ended without a word"

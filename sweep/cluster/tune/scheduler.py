"""What Ray Tune asks after each epoch of each trial: go on, or stop? The recorder knows."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from aesweep.cluster.tune import internals
from aesweep.cluster.tune.placement import Placement
from aesweep.search.recorder import Recorder
from aesweep.search.retry_policy import cause_of
from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec

ROW = "row"  # under which a trial reports its row; Tune would take a mapping apart
MOST_KEPT = 1_000  # workers without a trial, where any are kept


class RecordingScheduler(FIFOScheduler):
    """Starts trials in their order and hands what they report to the recorder, in the driver alone.

    Args:
        keeps_workers: whether workers stay that no trial waits for.

    Attributes:
        error: what the recorder raised first; None for nothing.
        begins_anew: Tune has lost sight of a trial, so that all that are left should be handed to it once more.
    """

    def __init__(self, keeps_workers: bool = False):
        super().__init__()
        self._keeps_workers = keeps_workers
        self._held_seconds: dict[str, float] = {}
        self._is_abandoned = False
        self.error: Exception | None = None
        self.begins_anew = False
        self._retried: dict[str, bool] = {}  # trials that failed and were not yet put back, and whether they go on
        self._waiting: list[tuple[int, int, Trial]] = []  # a heap of those that came, and may have begun since
        self._num_added = 0

    def begin(
        self,
        specs: dict[int, TrialSpec],
        recorder: Recorder,
        stop_requested: Callable[[], bool],
        placement: Placement | None = None,
    ) -> None:
        """Takes up a batch of trials, where all of the last one have ended.

        Args:
            specs: a trial's configuration has the `number` of its trial, and gets the `spec` itself here. Numbers go on
                from batch to batch.
            recorder: records, and lets each cell's ASHA stop trials.
            stop_requested: whether the run is being interrupted.
            placement: says to which trainer a trial goes; None where trials train in their own processes.
        """
        self._jobs, self._recorder = specs, recorder
        self._stop_requested, self._placement = stop_requested, placement

    def abandon(self) -> None:
        """Nothing is to be trained any more."""
        self._is_abandoned = True

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray saves schedulers to restore from, and a run is only ever rebuilt from its journal."""
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        spec = trial.config["spec"]
        row: TrialRow = result[ROW]
        seconds = result["time_total_s"]
        if self._placement:
            # Others trained meanwhile: what counts is the trial's share of its trainer's time.
            seconds = self._held_seconds[spec.trial] = self._held_seconds.get(spec.trial, 0.0) + row.held_seconds
        goes_on = self._record(lambda: self._recorder.take(spec, row, round(seconds, 3)))
        if not goes_on:
            self._leave(trial)
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._leave(trial)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        self._leave(trial)

    def _leave(self, trial: Trial) -> None:
        if self._placement:
            self._placement.leave(trial.config["spec"])
            self._held_seconds.pop(trial.config["spec"].trial, None)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self._leave(trial)
        # A signal to the whole process group ends the workers as well: that is an interruption, and no failure.
        if self.is_over:
            return
        text = _newest_error(trial)
        again = self._record(lambda: self._recorder.fail(trial.config["spec"], cause_of(text), _reason(text)))
        self._controller = tune_controller
        self._retried[trial.trial_id] = again is not None
        if again:
            trial.config["spec"] = again
        self.begins_anew = internals.is_being_reset(tune_controller, trial)

    def _record(self, record: Callable[[], Any]) -> Any:
        """What the recorder answers; None once it has failed, with the error kept for whoever started Tune.

        Nothing more is recorded after that, nor of trials that are about to begin anew.
        """
        if self.error is None and not self.begins_anew:
            try:
                return record()
            except Exception as error:  # Tune would turn it into a text
                self.error = error
        return None

    @property
    def is_over(self) -> bool:
        """Whether Tune should end all trials, whatever is left of them."""
        return self.error is not None or self.begins_anew or self._is_abandoned or self._stop_requested()

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The first of the trials that wait, as Tune's own has it, which looks at all trials with every row."""
        while self._waiting and self._waiting[0][-1].status != Trial.PENDING:
            heapq.heappop(self._waiting)
        return self._waiting[0][-1] if self._waiting else None

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        trial.config.setdefault("spec", self._jobs[trial.config["number"]])
        if self._keeps_workers and not self._num_added:
            internals.keep_workers(tune_controller, trial, MOST_KEPT)
        self._num_added += 1  # tells a trial that is put back from itself
        heapq.heappush(self._waiting, (trial.config["number"], self._num_added, trial))
        if self._placement:
            trial.config["trainer"] = self._placement.place(trial.config["spec"])
        retried = self._retried.pop(trial.trial_id, None)
        if retried and not self.is_over:
            internals.stage_first(self._controller, trial)
        elif retried is not None:
            tune_controller.stop_trial(trial)


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

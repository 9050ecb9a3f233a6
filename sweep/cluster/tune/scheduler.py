"""The scheduler that Ray Tune consults with each bundle of rows; it asks the recorder whether to continue."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator
from functools import partial
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

ROWS = "rows"  # key under which a trial reports a bundle of rows; Tune would flatten a mapping
MOST_KEPT = 1_000  # how many idle workers are kept at most, where any are


class RecordingScheduler(FIFOScheduler):
    """Starts trials in their order and passes what they report to the recorder, in the driver alone.

    Args:
        keeps_workers: whether idle workers are kept while no trial waits for them.

    Attributes:
        error: the first exception that the recorder raised; None where it raised none.
        begins_anew: whether Tune has lost track of a trial, so that all remaining trials should be passed to a new run
            of Tune.
    """

    def __init__(self, keeps_workers: bool = False):
        super().__init__()
        self._keeps_workers = keeps_workers
        self._held_seconds: dict[str, float] = {}
        self._is_abandoned = False
        self.error: Exception | None = None
        self.begins_anew = False
        self._retried: dict[str, bool] = {}  # failed trials that are not yet put back, and whether each is retried
        self._waiting: list[tuple[int, int, Trial]] = []  # a heap of added trials, some of which may have begun
        self._num_added = 0
        self._num_taken = 0

    def begin(
        self,
        queue: Iterator[TrialSpec],
        recorder: Recorder,
        stop_requested: Callable[[], bool],
        placement: Placement | None = None,
    ) -> None:
        """Begins a batch of trials, after all trials of the previous batch have ended.

        Args:
            queue: gives the batch's trials.
            recorder: records rows, and decides, with each cell's ASHA, which trials stop.
            stop_requested: returns whether the run is being interrupted.
            placement: assigns trials to trainers; None where trials train in their own processes.
        """
        self._queue, self._recorder = queue, recorder
        self._stop_requested, self._placement = stop_requested, placement
        self._specs: dict[int, TrialSpec] = {}  # those that were taken, by number

    def next_number(self) -> int | None:
        """Takes the batch's next trial and returns its number; None where none is left, or trials are to end.

        Numbers continue from batch to batch. The configuration of a Tune trial holds its `number`, and gets the `spec`
        when Tune adds the trial.
        """
        spec = self._record(lambda: next(self._queue, None))
        if spec is None:
            return None
        number, self._num_taken = self._num_taken, self._num_taken + 1
        self._specs[number] = spec
        return number

    def abandon(self) -> None:
        """Makes Tune end all trials."""
        self._is_abandoned = True

    def __getstate__(self) -> dict[str, Any]:
        """Returns no state: Ray saves schedulers to restore them, but a run is only ever rebuilt from its journal."""
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        spec = trial.config["spec"]
        rows: list[TrialRow] = result[ROWS]
        goes_on = all(self._record(partial(self._take, spec, row, result["time_total_s"])) for row in rows)
        rows.clear()  # Tune keeps the last result of each trial
        if not goes_on:
            self._leave(trial)
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP

    def _take(self, spec: TrialSpec, row: TrialRow, seconds: float) -> bool:
        if self._placement:
            # Other trials trained meanwhile, so the trial's share of its trainer's time is what counts.
            seconds = self._held_seconds[spec.trial] = self._held_seconds.get(spec.trial, 0.0) + row.held_seconds
        return self._recorder.take(spec, row, round(seconds, 3))

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
        # A signal to the whole process group ends the workers as well, which is an interruption and not a failure.
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
        """Calls the recorder and returns its answer; None once it has raised, with the exception kept in `error`.

        Nothing is recorded after an exception, nor while trials are about to begin anew.
        """
        if self.error is None and not self.begins_anew:
            try:
                return record()
            except Exception as error:  # Tune would reduce it to its text
                self.error = error
        return None

    @property
    def is_over(self) -> bool:
        """Whether Tune should end all trials, including those that have not finished."""
        return self.error is not None or self.begins_anew or self._is_abandoned or self._stop_requested()

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Returns the first waiting trial, as FIFOScheduler does, which scans all trials at every row."""
        while self._waiting and self._waiting[0][-1].status != Trial.PENDING:
            heapq.heappop(self._waiting)
        return self._waiting[0][-1] if self._waiting else None

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        trial.config.setdefault("spec", self._specs[trial.config["number"]])
        if self._keeps_workers and not self._num_added:
            internals.keep_workers(tune_controller, trial, MOST_KEPT)
        self._num_added += 1  # breaks ties in the heap between entries of a trial that is put back
        heapq.heappush(self._waiting, (trial.config["number"], self._num_added, trial))
        if self._placement:
            trial.config["trainer"] = self._placement.place(trial.config["spec"])
        retried = self._retried.pop(trial.trial_id, None)
        if retried and not self.is_over:
            internals.stage_first(self._controller, trial)
        elif retried is not None:
            tune_controller.stop_trial(trial)


def _newest_error(trial: Trial) -> str:
    """Returns Tune's text about a trial's newest failure, without its heading; empty where there is none."""
    path = trial.error_file
    text = Path(path).read_text(errors="replace") if path and Path(path).exists() else ""
    return re.split(r"^Failure # .*\n", text, flags=re.MULTILINE)[-1]


def _reason(text: str) -> str:
    """Returns the last line of an error's text, without Ray's advice and the addresses in it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = (
        re.split(r" (?:Worker exit detail|Owner Id|Some common causes|The node with)\b", lines[-1])[0] if lines else ""
    )
    return last[:300] or "the worker process ended without a word"

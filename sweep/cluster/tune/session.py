"""A run of Ray Tune in its own thread, which trains one batch of trials after the other.

A stage is a batch. If each stage had its own run of Tune, its workers would end with it, and the next stage's workers
would begin with seconds of imports.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from aesweep.cluster.tune.placement import Placement
from aesweep.cluster.tune.scheduler import RecordingScheduler
from aesweep.search.recorder import Recorder
from aesweep.search.trial_queue import TrialQueue


class Feed(Searcher):
    """The searcher that gives trials to Tune, as numbers that `RecordingScheduler` maps to trials.

    Tune asks for the next trial whenever it has room, and the feed asks the batch in turn. Once all trials that Tune
    was given have ended, and the batch has no other, `suggest` blocks until the next batch or the session's end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()
        self._take: Callable[[], int | None] = lambda: None
        self._live: set[str] = set()
        self._most_live: Callable[[], int | None] = lambda: None
        self._is_idle = False
        self._is_closed = False

    def hand(self, take: Callable[[], int | None], most_live: Callable[[], int | None]) -> None:
        """Begins a batch.

        Args:
            take: returns the number of the batch's next trial; None once no trial is left.
            most_live: returns how many trials may be under training at once; None for no limit.
        """
        with self._changed:
            self._take, self._most_live, self._is_idle = take, most_live, False
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the search: Tune gets no more trials, and ends once those under training have ended."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Waits until all queued trials have ended, and returns whether they have within `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_idle, timeout_s)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        with self._changed:
            while not self._is_closed:
                number = self._take() if self._has_room() else None
                if number is not None:
                    self._live.add(trial_id)
                    return {"number": number}
                if self._live:
                    return None
                self._is_idle = True
                self._changed.notify_all()
                self._changed.wait()
            return Searcher.FINISHED

    def _has_room(self) -> bool:
        most = self._most_live()
        return most is None or len(self._live) < most

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        with self._changed:
            self._live.discard(trial_id)

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict, **spec: Any) -> bool:
        return True

    def __getstate__(self) -> dict[str, Any]:
        """Returns no state: Ray saves searchers to restore them, but a run is only ever rebuilt from its journal."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Saves nothing, see `__getstate__`."""

    def restore(self, checkpoint_path: str) -> None:
        """Restores nothing, see `__getstate__`."""


class TuneSession:
    """A run of Ray Tune.

    Args:
        trainable: the function that a trial runs.
        folder: folder for Tune's own files, which are never read.
        keeps_workers: whether idle workers are kept for the next batch.

    Attributes:
        scheduler: the scheduler, which records what the trials report.
    """

    def __init__(self, trainable: Any, folder: Path, keeps_workers: bool):
        self._feed = Feed()
        self.scheduler = RecordingScheduler(keeps_workers)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(trainable, folder), daemon=True)
        self._thread.start()

    def train(
        self,
        queue: TrialQueue,
        recorder: Recorder,
        stop_requested: Callable[[], bool],
        placement: Placement | None,
        most_at_once: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Trains a batch of trials until all have ended, or until the scheduler is over, which ends the session.

        Args:
            queue: gives the trials, in their order.
            recorder: records what the trials report, and decides which of them continue.
            stop_requested: returns whether the run is being interrupted.
            placement: assigns trials to trainers; None where trials train in their own processes.
            most_at_once: returns how many trials may be under training at once, retries included; None for as many as
                there is room for. With one, a trial that is tried again goes on before the next one begins.

        Raises:
            Exception: the exception that the recorder or Tune raised.
        """
        self.scheduler.begin(queue, recorder, stop_requested, placement)

        def most_live() -> int | None:
            limits = [limit for limit in (placement and placement.num_places, most_at_once()) if limit]
            return min(limits, default=None)

        self._feed.hand(self.scheduler.next_number, most_live)
        while self.is_alive and not self._feed.wait_until_idle(0.1):
            pass
        if self.scheduler.is_over:
            self.close()
        if error := self.scheduler.error or self._error:
            raise error

    @property
    def is_alive(self) -> bool:
        """Whether the session can train another batch."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Ends Tune and its workers. Trials still under training, after an interruption or error, are lost."""
        self.scheduler.abandon()
        self._feed.close()
        self._thread.join()

    def _run(self, trainable: Any, folder: Path) -> None:
        scheduler = self.scheduler

        class Requested(tune.Stopper):
            def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
                return False

            def stop_all(self) -> bool:
                return scheduler.is_over

            def __getstate__(self) -> dict[str, Any]:
                return {}

        # The number of pending trials that Tune would allow by itself if it knew all trials from the start.
        at_once = max(200, int(1.1 * ray.cluster_resources().get("CPU", 1)))
        os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(at_once))
        try:
            tune.Tuner(
                trainable,
                tune_config=tune.TuneConfig(
                    search_alg=self._feed, scheduler=scheduler, num_samples=-1, reuse_actors=True
                ),
                run_config=tune.RunConfig(
                    storage_path=str(folder),
                    verbose=0,
                    stop=Requested(),
                    log_to_file=False,
                    # Unlimited here, because the recorder decides which failures are retried, and how often.
                    failure_config=tune.FailureConfig(max_failures=-1),
                ),
            ).fit()
        except BaseException as error:  # raised again in `train`
            self._error = error

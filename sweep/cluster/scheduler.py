"""What Ray Tune asks after each epoch of each trial: go on, or stop?

The row is recorded first, then ASHA's decision on it, then how the trial ended: in this order, in the driver alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from sweep.asha import Asha
from sweep.job import Job

ROW_FIELDS = (
    "epoch",
    "loss",
    "training_mse",
    "validation_mse",
    "validation_psnr_db",
    "learning_rate",
    "seconds",
    "per_seed",
)


class RecordingScheduler(FIFOScheduler):
    """Starts trials in their order, records what they report, and lets each cell's ASHA stop them.

    Args:
        record: appends an event to the journal: `record(kind, **fields)`.
        metric: the row's field by which trials are compared.
        ashas: cell key (data set, cell) to its `Asha`; none where nothing is stopped early (retraining).
    """

    def __init__(self, record: Callable[..., Any], metric: str, ashas: dict[Any, Asha]):
        super().__init__()
        self._record = record
        self._metric = metric
        self._ashas = ashas
        self._seconds: dict[str, float] = {}
        self._epochs: dict[str, int] = {}
        self.unfinished: dict[str, Job] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray saves schedulers to restore from, and a run is only ever rebuilt from its journal."""
        return {}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        job = trial.config["job"]
        self.unfinished[job.trial] = job

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        job: Job = trial.config["job"]
        if job.trial not in self.unfinished:
            return TrialScheduler.STOP
        epoch = result["epoch"]
        self._seconds[job.trial] = round(result["time_total_s"], 3)
        self._epochs[job.trial] = epoch
        self._record("row", trial=job.trial, **{name: result[name] for name in ROW_FIELDS if name in result})
        if result["diverged"]:
            return self._end(job, "diverged", epoch, f"the loss was not finite in epoch {epoch}")
        if epoch >= job.epochs:
            if job.purpose == "retraining":
                self._record_retrained(job, result)
            return self._end(job, "completed", epoch, None)
        asha = self._ashas.get((job.dataset, job.cell))
        value = result.get(self._metric, math.nan)
        decision = asha.decide(job.trial, epoch, value) if asha else None
        if decision is None:
            return TrialScheduler.CONTINUE
        self._record(
            "decision",
            trial=job.trial,
            epoch=epoch,
            action="continue" if decision.keep else "stop",
            value=value,
            cutoff=decision.cutoff,
            num_compared=decision.num_compared,
        )
        if decision.keep:
            return TrialScheduler.CONTINUE
        return self._end(job, "stopped", epoch, None)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        job: Job = trial.config["job"]
        if job.trial in self.unfinished:
            self._end(job, "failed", self._epochs.get(job.trial, 0), _reason(trial))

    def end_unfinished(self, reason: str) -> None:
        """Records the trials that had no end when the stage was interrupted."""
        for job in list(self.unfinished.values()):
            if job.trial in self._seconds:
                self._end(job, "interrupted", self._epochs[job.trial], reason)

    def _end(self, job: Job, status: str, epochs: int, reason: str | None) -> str:
        del self.unfinished[job.trial]
        seconds = self._seconds.get(job.trial, 0.0)
        self._record("trial_ended", trial=job.trial, status=status, epochs=epochs, reason=reason, seconds=seconds)
        return TrialScheduler.STOP

    def _record_retrained(self, job: Job, result: dict[str, Any]) -> None:
        self._record(
            "retrained",
            trial=job.trial,
            training_mse=result["training_mse"],
            test_mse=result["test/mse"],
            test_psnr_db=result["test/psnr_db"],
            test_ssim=result["test/ssim"],
            epochs=result["epoch"],
            seconds=self._seconds[job.trial],
            checkpoint={name: result[f"checkpoint/{name}"] for name in ("file", "sha256", "num_bytes")},
        )


def _reason(trial: Trial) -> str:
    error = trial.get_error()
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] if error else []
    return lines[-1][:500] if lines else "the worker process ended without a word"

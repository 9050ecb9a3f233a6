"""What the driver records when an epoch of a trial is trained, and whether the trial goes on.

The row first, then ASHA's decision on it, then how the trial ended. Knows nothing of Ray, so that a run that was killed
between two of these lines is brought to the same end by the same rule.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from aesweep.search.retry_policy import can_help
from aesweep.search.schedulers.asha import Asha
from aesweep.search.trial_spec import Job
from aesweep.storage.event import Action, Cause, Event, TrialStatus
from aesweep.storage.events import Continued, Decision, Failure, MemoryShort, Retrained, Row, TrialEnded
from aesweep.storage.run_state import TrialState

# What the journal's row has of a worker's; its checkpoint comes flattened.
ROW_FIELDS = tuple(
    field.name for field in dataclasses.fields(Row) if field.name not in ("seq", "time", "trial", "checkpoint")
)
JUDGED_FIELDS = ("loss", "training_mse")


class Recorder:
    """Records what the trials of one stage, or of the retraining, report.

    An epoch that the journal holds already is not recorded again: trained again, it gives the same row.

    Args:
        record: appends an event to the journal.
        metric: the row's field by which trials are compared.
        ashas: `Job.rivals` to their `Asha`; empty where nothing is stopped early (retraining).
        trials: how far each is.

    Attributes:
        unfinished: the jobs that were opened and have not ended.
    """

    def __init__(
        self,
        record: Callable[[Event], Any],
        metric: str,
        ashas: dict[Any, Asha],
        trials: Mapping[str, TrialState],
    ):
        self._record = record
        self._metric = metric
        self._ashas = ashas
        self._trials = trials
        self._before: dict[str, TrialState] = {}  # as they stood when they were opened
        self._seconds: dict[str, float] = {}
        self._lost_seconds: dict[str, float] = {}
        self._epochs: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self.unfinished: dict[str, Job] = {}

    def open(self, job: Job) -> bool:
        """Takes up a job, and records what a kill left out after its last row.

        Returns:
            Whether anything is left to train.
        """
        known = self._trials.get(job.trial) or TrialState()
        before = self._before[job.trial] = dataclasses.replace(known, rows=list(known.rows))
        self.unfinished[job.trial] = job
        row = before.row
        if before.given_up:
            self._epochs[job.trial] = before.epochs
            self._end(job, TrialStatus.FAILED, before.given_up)
            return False
        if row is None:
            return True
        self._epochs[job.trial] = before.epochs
        judged = (*JUDGED_FIELDS, "validation_mse") if job.purpose == "search" else JUDGED_FIELDS
        if before.result and not before.is_lost:
            self._end(job, TrialStatus.COMPLETED, None)
        elif before.stops:
            self._end(job, TrialStatus.STOPPED, None)
        elif any(getattr(row, name) is None for name in judged):
            self._diverge(job)
        elif before.epochs < job.epochs:
            self._decide(job, getattr(row, self._metric))
        elif job.purpose == "search":
            self._end(job, TrialStatus.COMPLETED, None)
        return job.trial in self.unfinished

    def take(self, job: Job, result: dict[str, Any], seconds: float) -> bool:
        """Records an epoch and what follows from it.

        Args:
            job: the trial's.
            result: the row, flattened ("test/mse"), with `diverged`.
            seconds: how long the trial has held its worker in this session.

        Returns:
            Whether the trial goes on.
        """
        if job.trial not in self.unfinished:
            return False
        epoch = result["epoch"]
        self._seconds[job.trial] = seconds
        recorded = self._epochs.get(job.trial, self._before_session(job).epochs)
        self._epochs[job.trial] = max(epoch, recorded)
        if "continued/epoch" in result:
            fields = {name: result[f"continued/{name}"] for name in ("epoch", "rejected")}
            self._record(Continued(trial=job.trial, **fields))
        if "memory_short/reason" in result:
            fields = {name: result[f"memory_short/{name}"] for name in ("members_per_step", "reason")}
            self._record(MemoryShort(trial=job.trial, epoch=epoch, **fields))
        if epoch > recorded:
            self._failures[job.trial] = 0
            fields = {name: result[name] for name in ROW_FIELDS if name in result}
            if job.purpose == "search" and "checkpoint/file" in result:
                fields["checkpoint"] = _checkpoint(result)
            self._record(Row(trial=job.trial, **fields))
        if result["diverged"]:
            self._diverge(job)
        elif epoch >= job.epochs:
            if job.purpose == "retraining":
                self._record_retrained(job, result)
            self._end(job, TrialStatus.COMPLETED, None)
        else:
            self._decide(job, result.get(self._metric, math.nan), epoch)
        return job.trial in self.unfinished

    def fail(self, job: Job, cause: Cause, reason: str) -> Job | None:
        """Records that an attempt at a trial ended without a result.

        Returns:
            The job for another attempt, which goes on from its newest state; None where the trial has ended.
        """
        if job.trial not in self.unfinished:
            return None
        num_failures = self._failures.get(job.trial, self._before_session(job).num_failures) + 1
        self._failures[job.trial] = num_failures
        again = self._again(job)
        retried = can_help(cause, num_failures)
        self._record(Failure(trial=job.trial, epoch=again.recorded, cause=cause, reason=reason, retried=retried))
        if retried:
            return again
        self._end(job, TrialStatus.FAILED, f"{cause}: {reason}")
        return None

    def left(self) -> list[Job]:
        """The jobs that have not ended, as another attempt goes on with them, in the order of their opening."""
        return [self._again(job) for job in self.unfinished.values()]

    def _again(self, job: Job) -> Job:
        self._lost_seconds[job.trial] = self._lost_seconds.get(job.trial, 0.0) + self._seconds.pop(job.trial, 0.0)
        return dataclasses.replace(job, recorded=self._epochs.get(job.trial, self._before_session(job).epochs))

    def end_unfinished(self, reason: str) -> None:
        """Records the trials that had no end when the run was interrupted."""
        for job in list(self.unfinished.values()):
            if job.trial in self._seconds or job.trial in self._lost_seconds:
                self._end(job, TrialStatus.INTERRUPTED, reason)

    def _before_session(self, job: Job) -> TrialState:
        return self._before[job.trial]

    def _decide(self, job: Job, value: float, epoch: int | None = None) -> None:
        asha = self._ashas.get(job.rivals)
        epoch = self._epochs[job.trial] if epoch is None else epoch
        decision = asha.decide(job.trial, epoch, value) if asha else None
        if decision is None:
            return
        self._record(
            Decision(
                trial=job.trial,
                epoch=epoch,
                action=Action.CONTINUE if decision.keep else Action.STOP,
                value=value,
                cutoff=decision.cutoff,
                num_compared=decision.num_compared,
            )
        )
        if not decision.keep:
            self._end(job, TrialStatus.STOPPED, None)

    def _diverge(self, job: Job) -> None:
        self._end(job, TrialStatus.DIVERGED, f"the loss was not finite in epoch {self._epochs[job.trial]}")

    def _end(self, job: Job, status: TrialStatus, reason: str | None) -> None:
        del self.unfinished[job.trial]
        self._record(
            TrialEnded(
                trial=job.trial,
                status=status,
                epochs=self._epochs.get(job.trial, 0),
                reason=reason,
                seconds=self._held(job),
            )
        )

    def _held(self, job: Job) -> float:
        held = self._lost_seconds.get(job.trial, 0.0) + self._seconds.get(job.trial, 0.0)
        return round(self._before_session(job).seconds + held, 3)

    def _record_retrained(self, job: Job, result: dict[str, Any]) -> None:
        self._record(
            Retrained(
                trial=job.trial,
                training_mse=result["training_mse"],
                test_mse=result["test/mse"],
                test_psnr_db=result["test/psnr_db"],
                test_ssim=result["test/ssim"],
                epochs=result["epoch"],
                seconds=self._held(job),
                checkpoint=_checkpoint(result),
            )
        )


def _checkpoint(result: dict[str, Any]) -> dict[str, Any]:
    return {name: result[f"checkpoint/{name}"] for name in ("file", "sha256", "num_bytes")}

"""Records what follows when an epoch of a trial has been trained, and decides whether the trial goes on.

The row is recorded first, then ASHA's decision on it, then how the trial ended. The module does not depend on Ray. If
a run is killed between two of these events, the resumed run records the missing ones by the same rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from aesweep.search.retry_policy import can_help
from aesweep.search.schedulers.asha import Asha
from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.event import Action, Cause, Event, TrialStatus
from aesweep.storage.events import Continued, Decision, Failure, MemoryShort, Retrained, Row, TrialEnded
from aesweep.storage.run_state import TrialState

# The fields that a journal's row copies from a worker's `TrialRow` without a change.
ROW_FIELDS = tuple(
    field.name for field in dataclasses.fields(Row) if field.name not in ("seq", "time", "trial", "checkpoint")
)
JUDGED_FIELDS = ("loss", "training_mse")


class Recorder:
    """Records what the trials of one stage, or of the retraining, report.

    An epoch that the journal holds already is not recorded again, since training it again gives the same row.

    Args:
        record: appends an event to the journal.
        metric: the row's field by which trials are compared.
        ashas: maps `TrialSpec.rivals` to their `Asha`; empty where nothing is stopped early (retraining).
        trials: maps the name of each recorded trial to its state.

    Attributes:
        unfinished: the trials that were opened and have not ended.
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
        self._before: dict[str, TrialState] = {}  # copies of the trials' states, taken when they were opened
        self._seconds: dict[str, float] = {}
        self._lost_seconds: dict[str, float] = {}
        self._epochs: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._audited = {name for name, trial in trials.items() if trial.audited_from is not None}
        self.unfinished: dict[str, TrialSpec] = {}

    def open(self, spec: TrialSpec) -> bool:
        """Opens a trial, and records the events after its last row that a killed session did not record.

        Returns:
            Whether any epoch of the trial is left to train.
        """
        known = self._trials.get(spec.trial) or TrialState()
        before = self._before[spec.trial] = dataclasses.replace(known, rows=list(known.rows))
        self.unfinished[spec.trial] = spec
        row = before.row
        if before.given_up:
            self._epochs[spec.trial] = before.epochs
            self._end(spec, TrialStatus.FAILED, before.given_up)
            return False
        if row is None:
            return True
        self._epochs[spec.trial] = before.epochs
        judged = (*JUDGED_FIELDS, "validation_mse") if spec.purpose == "search" else JUDGED_FIELDS
        if before.result and not before.is_lost:
            self._end(spec, TrialStatus.COMPLETED, None)
        elif before.stops:
            self._end(spec, TrialStatus.STOPPED, None)
        elif any(getattr(row, name) is None for name in judged):
            self._diverge(spec)
        elif before.epochs < spec.epochs:
            self._decide(spec, row)
        elif spec.purpose == "search":
            self._end_trained(spec)
        return spec.trial in self.unfinished

    def take(self, spec: TrialSpec, row: TrialRow, seconds: float) -> bool:
        """Records a trained epoch and the events that follow from it.

        Args:
            spec: the trial.
            row: what the worker reported of the epoch.
            seconds: how long the trial has held its worker in this session.

        Returns:
            Whether the trial goes on.
        """
        if spec.trial not in self.unfinished:
            return False
        epoch = row.epoch
        self._seconds[spec.trial] = seconds
        recorded = self._epochs.get(spec.trial, self._before_session(spec).epochs)
        self._epochs[spec.trial] = max(epoch, recorded)
        if row.continued_from is not None:
            self._record(Continued(trial=spec.trial, epoch=row.continued_from, rejected=row.rejected))
        if row.members_per_step is not None:
            short = {"members_per_step": row.members_per_step, "reason": row.memory_reason}
            self._record(MemoryShort(trial=spec.trial, epoch=epoch, **short))
        if epoch > recorded:
            self._failures[spec.trial] = 0
            fields = {name: getattr(row, name) for name in ROW_FIELDS}
            checkpoint = row.checkpoint if spec.purpose == "search" else None
            self._record(Row(trial=spec.trial, **fields, checkpoint=checkpoint))
        if row.diverged:
            self._diverge(spec)
        elif epoch >= spec.epochs:
            if spec.purpose == "retraining":
                self._record_retrained(spec, row)
            self._end_trained(spec)
        else:
            self._decide(spec, row)
        return spec.trial in self.unfinished

    def fail(self, spec: TrialSpec, cause: Cause, reason: str) -> TrialSpec | None:
        """Records that an attempt at a trial ended without a result.

        Returns:
            The trial for another attempt, which continues from its newest state; None if the trial has ended.
        """
        if spec.trial not in self.unfinished:
            return None
        num_failures = self._failures.get(spec.trial, self._before_session(spec).num_failures) + 1
        self._failures[spec.trial] = num_failures
        self._lost_seconds.setdefault(spec.trial, 0.0)  # it was attempted, even where it has no row
        again = self._again(spec)
        retried = can_help(cause, num_failures)
        self._record(Failure(trial=spec.trial, epoch=again.recorded, cause=cause, reason=reason, retried=retried))
        if retried:
            return again
        self._end(spec, TrialStatus.FAILED, f"{cause}: {reason}")
        return None

    def left(self) -> list[TrialSpec]:
        """Returns the trials that have not ended, prepared for another attempt, in the order of their opening."""
        return [self._again(spec) for spec in self.unfinished.values()]

    def _again(self, spec: TrialSpec) -> TrialSpec:
        if spec.trial in self._seconds:
            self._lost_seconds[spec.trial] = self._lost_seconds.get(spec.trial, 0.0) + self._seconds.pop(spec.trial)
        return dataclasses.replace(spec, recorded=self._epochs.get(spec.trial, self._before_session(spec).epochs))

    def end_unfinished(self, reason: str) -> None:
        """Records as interrupted the unfinished trials that this session has attempted."""
        for spec in list(self.unfinished.values()):
            if spec.trial in self._seconds or spec.trial in self._lost_seconds:
                self._end(spec, TrialStatus.INTERRUPTED, reason)

    def _before_session(self, spec: TrialSpec) -> TrialState:
        return self._before[spec.trial]

    def _decide(self, spec: TrialSpec, row: TrialRow | Row) -> None:
        asha = None if spec.trial in self._audited else self._ashas.get(spec.rivals)
        epoch, value = row.epoch, getattr(row, self._metric)
        decision = asha.decide(spec.trial, epoch, value, row.per_seed) if asha else None
        if decision is None:
            return
        action = decision.action(spec.is_drawn)
        self._record(
            Decision(
                trial=spec.trial,
                epoch=epoch,
                action=action,
                value=value,
                cutoff=decision.cutoff,
                num_compared=decision.num_compared,
                comparison=decision.comparison and dataclasses.asdict(decision.comparison),
            )
        )
        if action is Action.STOP:
            self._end(spec, TrialStatus.STOPPED, None)
        elif action is Action.AUDIT:
            self._audited.add(spec.trial)

    def _diverge(self, spec: TrialSpec) -> None:
        status = TrialStatus.AUDITED if spec.trial in self._audited else TrialStatus.DIVERGED
        self._end(spec, status, f"the loss was not finite in epoch {self._epochs[spec.trial]}")

    def _end_trained(self, spec: TrialSpec) -> None:
        self._end(spec, TrialStatus.AUDITED if spec.trial in self._audited else TrialStatus.COMPLETED, None)

    def _end(self, spec: TrialSpec, status: TrialStatus, reason: str | None) -> None:
        del self.unfinished[spec.trial]
        self._record(
            TrialEnded(
                trial=spec.trial,
                status=status,
                epochs=self._epochs.get(spec.trial, 0),
                reason=reason,
                seconds=self._held(spec),
            )
        )

    def _held(self, spec: TrialSpec) -> float:
        held = self._lost_seconds.get(spec.trial, 0.0) + self._seconds.get(spec.trial, 0.0)
        return round(self._before_session(spec).seconds + held, 3)

    def _record_retrained(self, spec: TrialSpec, row: TrialRow) -> None:
        self._record(
            Retrained(
                trial=spec.trial,
                training_mse=row.training_mse,
                test_mse=row.test.mse,
                test_psnr_db=row.test.psnr_db,
                test_ssim=row.test.ssim,
                test_rate_nats=row.test.rate_nats,
                epochs=row.epoch,
                seconds=self._held(spec),
                checkpoint=row.checkpoint,
            )
        )

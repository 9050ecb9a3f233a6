"""How a run ended, derived from the events of its journal."""

from __future__ import annotations

import dataclasses

from aesweep.storage.event import RunStatus, TrialStatus
from aesweep.storage.run_state import RETRAINING, RunState


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: how its last session ended.
        signal_number: number of the signal that interrupted it; None if none did.
        missing: cells and retrainings that were left without a result; any of them makes the run a failed one.
        failed_trials: trials of the search that failed in spite of all attempts. If other trials of their cell
            succeeded, the cell still has a winner, chosen from fewer trials.
    """

    status: RunStatus
    signal_number: int | None
    missing: list[str]
    failed_trials: list[str] = dataclasses.field(default_factory=list)


def outcome_of(state: RunState, signal_number: int | None) -> Outcome:
    """Returns the outcome of a run that did all it could, or that a signal interrupted."""
    if signal_number is not None:
        return Outcome(RunStatus.INTERRUPTED, signal_number, [])
    empty = [
        f"{event.stage}, {event.dataset}, " + ", ".join(f"{axis} {value}" for axis, value in event.cell.items())
        for stage in state.stages.values()
        for event in stage.cell_winners.values()
        if event.trial is None
    ]
    retrainings = state.of(RETRAINING)
    owed = [name for name, trial in retrainings.items() if trial.result is None]
    failed = [
        name
        for name, trial in state.trials.items()
        if name not in retrainings and trial.end and trial.end.status is TrialStatus.FAILED
    ]
    missing = empty + sorted(owed)
    return Outcome(RunStatus.FAILED if missing else RunStatus.COMPLETED, None, missing, failed)

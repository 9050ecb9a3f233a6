"""What stopping early cost: the stopped trials that were trained on at random tell how many cells lost their winner.

Whether a stopped trial was trained on does not depend on what it measured. A cell has lost its winner if any of its
stopped trials would have ended better than the winner. Where one would have, it was seen with the probability p of the
audit, or oftener. So of L such cells at least as many are seen as a binomial variable with L trials and p counts, and
the largest L under which so few are seen with a probability above 5 % bounds L from above, whatever else holds of the
trials. What was seen bounds it from below. Source: Clopper and Pearson, The use of confidence or fiducial limits
illustrated in the case of the binomial, Biometrika 1934.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import pandas as pd

from aesweep.report.rows.names import cell_name
from aesweep.report.rows.types import Cell, Run, Stage, Trial
from aesweep.search.winners import is_better

CONFIDENCE = 0.95
AUDIT_COLUMNS = (
    "trial", "stage", "dataset", "cell", "stopped_after", "value", "winner", "winner_value", "would_have_won",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class AuditedTrial:
    """A stopped trial that was trained to its end.

    Attributes:
        trial: the trial.
        winner: the best trial of its cell and budget that was trained to its end in competition; None without one.
        value: the stage's metric at its end; None where it is not finite.
        winner_value: that of the winner.
        would_have_won: whether it ended better than the winner, or the cell has none.
    """

    trial: Trial
    winner: Trial | None
    value: float | None
    winner_value: float | None
    would_have_won: bool


@dataclasses.dataclass(frozen=True)
class Audit:
    """What the audit of a stage's stopped trials on one data set found.

    Attributes:
        share: the probability with which a stopped trial was trained on.
        num_stopped: number of trials that were stopped, those that were trained on included.
        trials: those that were trained on to their end.
        num_cells: number of cells.
        num_lost: number of cells of which a trial that would have won was seen.
        most_lost: the largest number of cells that may have lost their winner, at 95 % confidence.
    """

    share: float
    num_stopped: int
    trials: tuple[AuditedTrial, ...]
    num_cells: int
    num_lost: int
    most_lost: int


def audit_of(run: Run, stage: Stage, dataset: str) -> Audit | None:
    """Returns what the audit of a stage found on one data set; None without trials there, or without an audit."""
    asha = run.study.get("stages", {}).get(stage.name, {}).get("asha")
    share = asha.get("audit") if isinstance(asha, dict) else None
    trials = [trial for trial in stage.trials if trial.dataset == dataset]
    if share is None or not trials:
        return None
    stopped = [trial for trial in trials if trial.stopped_at is not None]
    contests: dict[tuple[Cell, int], list[Trial]] = {}
    for trial in trials:
        if trial.status == "completed":
            contests.setdefault((trial.cell, trial.budget), []).append(trial)
    audited = tuple(
        _audited(trial, contests.get((trial.cell, trial.budget), ()), stage)
        for trial in stopped
        if trial.status == "audited"
    )
    told = {found.trial.name for found in audited}
    lost = {found.trial.cell for found in audited if found.would_have_won}
    # A cell all of whose stopped trials were trained on hides nothing.
    hiding = {trial.cell for trial in stopped if trial.name not in told} - lost
    most = most_lost(len(lost), share, len(lost) + len(hiding))
    return Audit(share, len(stopped), audited, len({trial.cell for trial in trials}), len(lost), most)


@functools.cache
def most_lost(num_seen: int, share: float, limit: float = math.inf) -> int:
    """Returns the largest number of cells of which so few are seen with a probability above 5 %.

    Args:
        num_seen: number of cells that were seen to have lost their winner.
        share: the probability with which one that has is seen, at least.
        limit: a number that they cannot exceed; a small share may allow millions.
    """
    from scipy.stats import binom

    if share == 1:
        return num_seen
    most = num_seen
    while most < limit and binom.cdf(num_seen, most + 1, share) > 1 - CONFIDENCE:
        most += 1
    return most


def audit_frame(run: Run) -> pd.DataFrame:
    """Returns a line per stopped trial that was trained to its end out of competition."""
    lines = [
        (
            found.trial.name,
            stage.name,
            dataset,
            cell_name(found.trial.cell),
            found.trial.stopped_at,
            found.value,
            found.winner and found.winner.name,
            found.winner_value,
            found.would_have_won,
        )
        for stage in run.stages.values()
        for dataset in stage.datasets
        if (audit := audit_of(run, stage, dataset))
        for found in audit.trials
    ]
    return pd.DataFrame(lines, columns=list(AUDIT_COLUMNS))


def _audited(trial: Trial, rivals: Sequence[Trial], stage: Stage) -> AuditedTrial:
    winner = stage.best_of(rivals)
    last = trial.audit[-1] if trial.audit else None
    value = getattr(last, stage.metric) if last and last.epoch == trial.budget else None
    value = value if value is not None and math.isfinite(value) else None
    best = winner.value(stage.metric) if winner else None
    return AuditedTrial(trial, winner, value, best, value is not None and is_better(stage.mode, value, best))

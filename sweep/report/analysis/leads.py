"""By how much the best family of models leads at each latent dimension, on the test set.

Families and the models that stand for them are chosen on validation images alone, so the test errors are of models that
nobody chose by them, and a lead may turn out negative. Both were retrained with the same seeds, and are compared seed
by seed: the interval is Student's t interval of the differences, which holds whether or not the results of a seed move
together, and needs at least two seeds.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from aesweep.report.analysis.frames import QUANTITY, retrained_as
from aesweep.report.analysis.statistics import estimate
from aesweep.report.rows.types import Run, Stage, Trial

COLUMNS = (
    "latent_dim", "family", "model", "trial", "other_family", "other_model", "other_trial", "metric", "epochs",
    "num_seeds", "test", "test_half_width", "other_test", "other_test_half_width", "lead", "lead_half_width",
    "retraining_trials", "other_retraining_trials",
)  # fmt: skip


def lead_frame(run: Run, stage: Stage, dataset: str) -> pd.DataFrame:
    """Returns one line per latent dimension of a stage at which winners of two families were retrained.

    Columns: `latent_dim`; `family` and `model` of the best winner there by the stage's metric on validation images, and
    its `trial`; the same of the best winner of another family (`other_...`); `metric` ("mse" or "psnr_db") of what
    follows, on the test set, of the longest retraining that both have, over the `num_seeds` seeds that both have:
    `test` and `other_test`, their means, and `lead`, by how much the first is better, with half widths of 95 %
    intervals.
    """
    by_dim: dict[int, dict[str, list[Trial]]] = {}
    for winner in stage.cells(dataset).values():
        if winner is not None:
            families = by_dim.setdefault(winner.configuration.latent_dim, {})
            families.setdefault(winner.configuration.family, []).append(winner)
    lines = []
    for latent_dim, families in sorted(by_dim.items()):
        best = stage.best_of(trial for trials in families.values() for trial in trials)
        others = [t for name, trials in families.items() for t in trials if best and name != best.configuration.family]
        other = stage.best_of(others)
        line = _line(run, stage, best, other) if best and other else None
        if line:
            lines.append({"latent_dim": latent_dim, **line})
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _line(run: Run, stage: Stage, best: Trial, other: Trial) -> dict[str, Any] | None:
    """Compares two winners; None if no retraining of both has a seed in common."""
    quantity = QUANTITY[stage.metric]
    pair = (best, other)
    budgets = [{retraining.trial.budget for retraining in _retrained(run, trial)} for trial in pair]
    for epochs in sorted(set.intersection(*budgets), reverse=True):
        known = [
            {
                retraining.trial.seeds[0]: (value, retraining.trial.name)
                for retraining in retrained_as(run, trial, epochs)
                if (value := getattr(retraining.result, f"test_{quantity}")) is not None
            }
            for trial in pair
        ]
        seeds = [seed for seed in known[0] if seed in known[1]]
        if seeds:
            break
    else:
        return None
    sign = 1.0 if stage.mode == "min" else -1.0
    mine, theirs = ([found[seed][0] for seed in seeds] for found in known)
    lead = estimate([sign * (b - a) for a, b in zip(mine, theirs, strict=True)])
    line: dict[str, Any] = {"metric": quantity, "epochs": epochs, "num_seeds": len(seeds)}
    for prefix, trial, values, found in zip(("", "other_"), pair, (mine, theirs), known, strict=True):
        line[f"{prefix}family"] = trial.configuration.family
        line[f"{prefix}model"] = trial.configuration.model
        line[f"{prefix}trial"] = trial.name
        line[f"{prefix}test"] = estimate(values).mean
        line[f"{prefix}test_half_width"] = estimate(values).half_width
        line[f"{prefix}retraining_trials"] = " ".join(found[seed][1] for seed in seeds)
    return {**line, "lead": lead.mean, "lead_half_width": lead.half_width}


def _retrained(run: Run, trial: Trial) -> list:
    """Returns all retrainings of a trial's configuration that gave a result, whatever their epochs."""
    same = (trial.dataset, trial.configuration)
    return [r for r in run.retrainings if r.result and (r.trial.dataset, r.trial.configuration) == same]

"""Published claims, checked against this run's numbers."""

from __future__ import annotations

import itertools

import pandas as pd

from aesweep.report.markdown import axis_value, listing
from aesweep.report.published import Published
from aesweep.report.rows import Run, Stage
from aesweep.report.sentences.rules import OVERFITTING_GAP, gap_text, is_better, is_known
from aesweep.wording import plural

# Those that the claim on regularization names; a run may try more.
PUBLISHED_REGULARIZERS = ("l1", "l2", "l1_l2", "dropout")


def published_claims(
    run: Run, frames: dict[tuple[str, str], pd.DataFrame], published: Published
) -> list[tuple[str, str, str]]:
    """Each published claim with the verdict of each data set.

    Args:
        run: the run.
        frames: (stage, data set) to its cell table.
        published: the reference.

    Returns:
        (claim, data set, verdict and its ground) for every claim that the run can speak of; else (claim, "", so).
    """
    found = []
    for claim in published.claims:
        kind, check = CLAIMS.get(claim, (None, None))
        verdicts = []
        for (name, dataset), frame in frames.items():
            stage = run.stages[name]
            verdict = check(stage, frame) if stage.kind == kind else None
            if verdict is not None:
                holds, ground = verdict
                verdicts.append((claim, dataset, f"{'Holds' if holds else 'Does not hold'}: {ground}."))
        found += verdicts or [(claim, "", "This run has nothing to check it by.")]
    return found


def _depth(stage: Stage, frame: pd.DataFrame) -> tuple[bool, str] | None:
    if {stage.rows, stage.columns} != {"hidden_layers", "latent_dim"}:
        return None
    # The source counts the encoder's hidden layers and the code.
    depth = frame["columns" if stage.columns == "hidden_layers" else "rows"].map(len) + 1
    signed = frame["value"].astype(float) * (1.0 if stage.mode == "min" else -1.0)
    best = signed.groupby([frame["latent_dim"], depth]).min().unstack()
    if 3 not in best or 5 not in best:
        return None
    both = best[[3, 5]].dropna()
    wins = int((both[3] < both[5]).sum())
    if both.empty:
        return None
    return wins == len(
        both
    ), f"3 layers beat 5 at {wins} of {plural(len(both), 'latent dimension')}, on validation images"


def _regularization(stage: Stage, frame: pd.DataFrame) -> tuple[bool, str] | None:
    known = frame.dropna(subset="value")
    none, others = known[known["regularizer"] == "none"], known[known["regularizer"].isin(PUBLISHED_REGULARIZERS)]
    if none.empty or others.empty or stage.columns:
        return None
    better = [
        axis_value("regularizer", line["regularizer"])
        for _, line in others.iterrows()
        if is_better(stage.mode, line["value"], none["value"].iloc[0])
    ]
    if not better:
        tried = [axis_value("regularizer", name) for name in others["regularizer"]]
        return True, f"the best value on validation images is that without one; tried were {listing(tried)}"
    return False, f"better than none on validation images: {listing(better)} (whether by chance, its section says)"


def _noise(stage: Stage, frame: pd.DataFrame) -> tuple[bool, str] | None:
    known = frame.dropna(subset="validation_psnr_db").sort_values("noise_variance")
    if len(known) < 2 or stage.columns:
        return None
    values = list(known["validation_psnr_db"])
    falls = all(second < first for first, second in itertools.pairwise(values))
    return falls, f"{listing([f'{value:.2f}' for value in values])} dB as the noise rises, on validation images"


def _overfitting(stage: Stage, frame: pd.DataFrame) -> tuple[bool, str] | None:
    best = frame[frame["is_best"]]
    if best.empty:
        return None
    line = best.iloc[0]
    if is_known(line["test_mse"]):
        training, other, split = line["retrained_training_mse"], line["test_mse"], "test"
    else:
        training, other, split = line["training_mse"], line["validation_mse"], "validation"
    if not is_known(training) or not is_known(other):
        return None
    return other / training - 1 <= OVERFITTING_GAP, f"the winner's {gap_text(training, other, split)}"


# The claims of jobs/published_numbers.yaml, word for word: the kind of stage that can speak of each, and how.
CLAIMS = {
    "three hidden layers beat five on both datasets": ("architecture", _depth),
    "no regularization beats L1, L2, L1 + L2 and dropout": ("regularization", _regularization),
    "lower noise gives higher PSNR": ("denoising", _noise),
    "no overfitting is seen": ("architecture", _overfitting),
}

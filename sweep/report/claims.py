"""Published claims, checked against this run's numbers."""

from __future__ import annotations

import pandas as pd

from sweep.report.markdown import axis_value, listing, number, plural
from sweep.report.published import Published
from sweep.report.rows import Run, Stage
from sweep.report.sentences import OVERFITTING_GAP, gap_text, is_better, is_known


def published_claims(run: Run, frames: dict[tuple[str, str], pd.DataFrame], published: Published) -> list[tuple[str, str, str]]:
    """Each published claim with each data set's verdict and its ground.

    Args:
        run: the run.
        frames: (stage, data set) to its cell table.
        published: the reference.

    Returns:
        (claim, data set, verdict) for every claim that the run can speak of; (claim, "", "not checked") else.
    """
    found = []
    for claim in published.claims:
        check = CLAIMS.get(claim)
        verdicts = []
        for (name, dataset), frame in frames.items():
            stage = run.stages[name]
            if check and stage.kind == check[0]:
                verdict = check[1](stage, dataset, frame)
                if verdict:
                    verdicts.append((claim, dataset, verdict))
        found += verdicts or [(claim, "", "This run has nothing to check it by.")]
    return found


def _claim_depth(stage: Stage, dataset: str, frame: pd.DataFrame) -> str | None:
    if "hidden_layers" not in (stage.rows, stage.columns) or "latent_dim" not in (stage.rows, stage.columns):
        return None
    raw = frame["columns"] if stage.columns == "hidden_layers" else frame["rows"]
    # The source counts the encoder's hidden layers and the code.
    depth = raw.map(len) + 1
    sign = 1.0 if stage.mode == "min" else -1.0
    known = frame.assign(depth=depth, signed=sign * frame["value"].astype(float)).dropna(subset="value")
    best = known.groupby(["latent_dim", "depth"])["signed"].min().unstack()
    if 3 not in best or 5 not in best:
        return None
    both = best[[3, 5]].dropna()
    wins = int((both[3] < both[5]).sum())
    if not len(both):
        return None
    return f"{_holds(wins == len(both))}: 3 layers are better than 5 at {wins} of {plural(len(both), 'latent dimension')}."


def _claim_regularization(stage: Stage, dataset: str, frame: pd.DataFrame) -> str | None:
    known = frame.dropna(subset="value")
    none = known[known["regularizer"] == "none"]
    others = known[known["regularizer"] != "none"]
    if none.empty or others.empty:
        return None
    better = [line for _, line in others.iterrows() if is_better(stage, line["value"], none["value"].iloc[0])]
    if not better:
        return f"{_holds(True)}: none has the best validation value of {len(known)} rows."
    names = listing([axis_value("regularizer", line["regularizer"]) for line in better])
    return f"{_holds(False)}: {names} did better on validation images (the spread is told in its section)."


def _claim_noise(stage: Stage, dataset: str, frame: pd.DataFrame) -> str | None:
    known = frame.dropna(subset="validation_psnr_db").sort_values("noise_variance")
    if len(known) < 2 or stage.columns:
        return None
    values = list(known["validation_psnr_db"])
    falls = all(second < first for first, second in zip(values, values[1:], strict=False))
    return f"{_holds(falls)}: {' > '.join(f'{v:.2f}' for v in values) if falls else ', '.join(f'{v:.2f}' for v in values)} dB in the order of rising noise."


def _claim_overfitting(stage: Stage, dataset: str, frame: pd.DataFrame) -> str | None:
    known = frame[frame["is_best"]]
    if known.empty or not is_known(known.iloc[0]["training_mse"]):
        return None
    line = known.iloc[0]
    if is_known(line["test_mse"]):
        training, other, split = line["retrained_training_mse"], line["test_mse"], "test"
    else:
        training, other, split = line["training_mse"], line["validation_mse"], "validation"
    return f"{_holds(other / training - 1 <= OVERFITTING_GAP)}: of the winner, {gap_text(training, other, split)}."


CLAIMS = {
    "three hidden layers beat five on both datasets": ("architecture", _claim_depth),
    "no regularization beats L1, L2, L1 + L2 and dropout": ("regularization", _claim_regularization),
    "lower noise gives higher PSNR": ("denoising", _claim_noise),
    "no overfitting is seen": ("architecture", _claim_overfitting),
}


def _holds(verdict: bool) -> str:
    return "Holds here" if verdict else "Does not hold here"

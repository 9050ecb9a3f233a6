"""Which cell is best, which are undertrained, how the columns rank, and where the published numbers lie."""

from __future__ import annotations

import pandas as pd

from aesweep.process.wording import agree, plural
from aesweep.report.account import STATUSES
from aesweep.report.markdown import axis_name, axis_value, code, listing, number
from aesweep.report.published import Published
from aesweep.report.rows import Stage, Trial
from aesweep.report.sentences.rules import against, cell_text, is_better, is_known, metric_text
from aesweep.report.tables import QUANTITY

# How the last recorded epoch of a trial stands to its end.
WHEN = {"stopped": "at", "diverged": "in", "failed": "after", "interrupted": "after"}


def best_cell(stage: Stage, frame: pd.DataFrame) -> list[str]:
    """The best cell, and how it stands to PCA."""
    best = frame[frame["is_best"]]
    if best.empty:
        return ["No trial of this stage was trained to its end, so there is no best cell."]
    line = best.iloc[0]
    text = f"Best of {plural(len(frame), 'cell')}: {cell_text(stage, line)}, {metric_text(stage, line['value'])}"
    if stage.metric == "validation_mse" and is_known(line["pca_validation"]):
        text += ", " + against(line["value"], line["pca_validation"], "PCA at the same latent dimension")
    return [text + "."]


def empty_cells(stage: Stage, dataset: str, frame: pd.DataFrame) -> list[str]:
    """Which cells have no fully trained trial, and what became of those that they had."""
    parts = []
    for _, line in frame[frame["value"].isna()].iterrows():
        axes = [(stage.rows, line["rows"])] + ([(stage.columns, line["columns"])] if stage.columns else [])
        trials = [t for t in stage.trials if t.dataset == dataset and all(dict(t.cell)[a] == v for a, v in axes)]
        parts.append(f"{cell_text(stage, line)} ({_endings(trials)})")
    return [f"No trial was trained to its end in: {'; '.join(parts)}."] if parts else []


def _endings(trials: list[Trial]) -> str:
    """How trials ended and when: 2 stopped at epochs 3 and 9, 1 diverged in epoch 12."""
    parts = []
    for status in STATUSES:
        mine = [trial for trial in trials if trial.status == status]
        epochs = sorted({trial.last.epoch for trial in mine if trial.last})
        text = f"{len(mine)} {status}"
        if status in WHEN and epochs:
            text += (
                f" {WHEN[status]} {agree(len(epochs), 'epoch', 'epochs')} {listing([str(epoch) for epoch in epochs])}"
            )
        parts += [text] if mine else []
    return ", ".join(parts)


def beaten_by(stage: Stage, frame: pd.DataFrame) -> pd.Series:
    """For each cell the strongest reason to call it undertrained: "mean_image", "pca" or None."""
    return pd.Series(
        [
            next(
                (
                    method
                    for method in ("mean_image", "pca")
                    if is_known(line["value"])
                    and not is_better(stage.mode, line["value"], line[f"{method}_validation"])
                ),
                None,
            )
            for _, line in frame.iterrows()
        ],
        index=frame.index,
        dtype=object,
    )


def undertrained(stage: Stage, frame: pd.DataFrame) -> list[str]:
    """Which cells do not beat PCA, or not even the mean image, on the same validation images."""
    known = frame["pca_validation"].notna() | frame["mean_image_validation"].notna()
    judged = frame[frame["value"].notna() & known]
    if judged.empty:
        return []
    beaten = beaten_by(stage, judged)
    sentences = []
    for method, name in (("mean_image", "the mean image"), ("pca", "PCA")):
        found = judged[beaten == method]
        if len(found):
            sentences.append(f"**Undertrained, no better than {name}:** {_cells(stage, found, method)}.")
    if sentences:
        return [
            *sentences,
            "A linear map of the same latent dimension does as well or better there, so those numbers tell of the "
            "training (or of a layer narrower than the code), not of the architecture.",
        ]
    if judged["pca_validation"].notna().all():
        return ["Every cell with a winner beats both PCA at its latent dimension and the mean image."]
    return ["Every cell with a winner beats those baselines that are known for it."]


def _cells(stage: Stage, frame: pd.DataFrame, method: str) -> str:
    quantity = QUANTITY[stage.metric]
    return "; ".join(
        f"{cell_text(stage, line)} ({number(line['value'], quantity)} against "
        f"{number(line[f'{method}_validation'], quantity)})"
        for _, line in frame.iterrows()
    )


def column_ranks(stage: Stage, frame: pd.DataFrame) -> list[str]:
    """How the sets of hidden layers (or whatever else the columns are) rank at each latent dimension."""
    if not stage.columns or frame["value"].isna().any():
        return []
    along, across = ("columns", "rows") if stage.columns == "latent_dim" else ("rows", "columns")
    row_axis, axis = (stage.rows, stage.columns) if across == "columns" else (stage.columns, stage.rows)
    labels = pd.Series([axis_value(axis, value) for value in frame[across]], index=frame.index)
    if labels.nunique() < 2:
        return []
    ranked = frame.groupby(frame[along].map(str), sort=False)["value"].rank(ascending=stage.mode == "min")
    parts = []
    for label in labels.unique():
        mine = ranked[labels == label]
        parts.append(f"{code(label)} {mine.mean():.2f} (first at {int((mine == 1).sum())} of {len(mine)})")
    return [f"Mean rank over the {axis_name(row_axis).lower()}s: {listing(parts)}."]


def published_against_baselines(stage: Stage, dataset: str, frame: pd.DataFrame, published: Published) -> list[str]:
    """How many published values lie above PCA and the mean image, as measured here."""
    if stage.metric != "validation_mse" or "latent_dim" not in (stage.rows, stage.columns):
        return []
    pca = dict(zip(frame["latent_dim"], frame["pca_validation"], strict=True))
    mean_image = frame["mean_image_validation"].dropna()
    values = [
        (dim, value)
        for by_dim in published.architecture(dataset).values()
        for dim, value in by_dim.items()
        if is_known(pca.get(dim))
    ]
    if not values or mean_image.empty:
        return []
    above_pca = sum(value >= pca[dim] for dim, value in values)
    above_mean = sum(value >= mean_image.iloc[0] for _, value in values)
    return [
        f"Of {plural(len(values), 'published value')} at these latent dimensions, {above_pca} "
        f"{agree(above_pca, 'lies', 'lie')} above PCA and "
        f"{above_mean} above the mean image, both as measured here (on this run's validation images, which need not be "
        "the published ones)."
    ]

"""Formats cells for tables and sentences, and makes the sentences about cells that a stage of any kind may have."""

from __future__ import annotations

import pandas as pd

from aesweep.process.wording import agree, plural
from aesweep.report.analysis.account import STATUSES
from aesweep.report.analysis.frames import QUANTITY
from aesweep.report.analysis.statistics import Estimate
from aesweep.report.rows.names import MISSING
from aesweep.report.rows.published import Published
from aesweep.report.rows.types import Stage, Trial, baseline_key
from aesweep.report.sections.rules import against, beats, cell_text, is_known, metric_text
from aesweep.report.text.markdown import bold, listing
from aesweep.report.text.numbers import interval, number
from aesweep.report.text.table import Value

QUANTITY_NAMES = {"mse": "MSE", "psnr_db": "PSNR (dB)"}
METHOD_NAMES = {"pca": "PCA", "mean_image": "Mean image", "noisy_input": "Noisy input", "linear_mmse": "Linear MMSE"}
# Signs behind a number that is no better than the baseline.
MARKS = {"pca": " †", "mean_image": " ‡"}
# The preposition that relates the end of a trial to its last recorded epoch.
WHEN = {"stopped": "at", "audited": "at", "diverged": "in", "failed": "after", "interrupted": "after"}


def cell_value(stage: Stage, found: pd.DataFrame) -> str | Value:
    """Formats a cell's value of the stage's metric; bold if it is the stage's best, marked if a baseline is as good."""
    if found.empty:
        return ""
    line = found.iloc[0]
    if not is_known(line["value"]):
        return MISSING
    half_width = float(line["half_width"]) if is_known(line["half_width"]) else None
    text = interval(Estimate(float(line["value"]), half_width, int(line["num_seeds"])), QUANTITY[stage.metric])
    text = (bold(text) if line["is_best"] else text) + MARKS.get(beaten_by(stage, found).iloc[0], "")
    return searched(line, text)


def searched(line: pd.Series, text: str) -> str | Value:
    """Returns a number of a cell's winner in the search, with that trial behind it."""
    return Value(text, (line["trial"],)) if is_known(line["trial"]) else text


def retrained(line: pd.Series, text: str) -> str | Value:
    """Returns a number over seeds of a line's retrainings, with these behind it."""
    known = is_known(line["retraining_trials"])
    return Value(text, tuple(line["retraining_trials"].split(" "))) if known else text


def baseline_value(line: pd.Series, text: str, method: str, dataset: str, stage: str | None = None) -> str | Value:
    """Returns a baseline's number beside a line's winner, with the baseline behind it.

    Args:
        line: a line of a frame of cells or winners.
        text: the number as it is shown.
        method: the baseline's name.
        dataset: the data set's name.
        stage: the stage whose validation images are meant; None for the test set.
    """
    latent_dim, variance = line.get("latent_dim"), line.get("noise_variance")
    if text == MISSING or (method == "pca" and not is_known(latent_dim)):
        return text
    return Value(text, baseline=baseline_key(dataset, stage, method, latent_dim, variance))


def retrained_estimate(line: pd.Series, name: str) -> Estimate | None:
    """Returns a line's retrained number with its half width over seeds; None if the line has none."""
    if not is_known(line[name]):
        return None
    half_width = line[f"{name}_half_width"]
    return Estimate(float(line[name]), float(half_width) if is_known(half_width) else None, int(line["num_retrained"]))


def beaten_by(stage: Stage, frame: pd.DataFrame) -> pd.Series:
    """Returns for each cell the strongest reason to call it undertrained: "mean_image", "pca" or None."""
    return pd.Series(
        [
            next(
                (
                    method
                    for method in ("mean_image", "pca")
                    if is_known(line["value"]) and not beats(stage.mode, line["value"], line[f"{method}_validation"])
                ),
                None,
            )
            for _, line in frame.iterrows()
        ],
        index=frame.index,
        dtype=object,
    )


def table_notes(stage: Stage, dataset: str, frame: pd.DataFrame, published: Published) -> str:
    """Explains the signs that occur in a stage's table."""
    notes = []
    if frame["is_best"].any():
        notes.append("Bold: the best cell.")
    beaten = set(beaten_by(stage, frame))
    if "pca" in beaten:
        notes.append("†: no better than PCA at its latent dimension.")
    if "mean_image" in beaten:
        notes.append("‡: no better than the mean image.")
    if frame["value"].isna().any():
        notes.append(f"{MISSING}: no trial was trained to its end.")
    if not set(frame.get("latent_dim", ())).isdisjoint(published_dims(stage, dataset, published)):
        notes.append("Published layers are counted as the source does: hidden layers of the encoder, and the code.")
    return " ".join(notes)


def published_dims(stage: Stage, dataset: str, published: Published) -> set[int]:
    """Returns the latent dimensions of the published numbers that this stage's table can show beside its own."""
    if "latent_dim" not in (stage.rows, stage.columns) or stage.metric != "validation_mse":
        return set()
    return {dim for values in published.architecture(dataset).values() for dim in values}


def best_cell(stage: Stage, frame: pd.DataFrame) -> list[str]:
    """Names the best cell and compares it with PCA."""
    best = frame[frame["is_best"]]
    if best.empty:
        return ["No trial of this stage was trained to its end, so there is no best cell."]
    line = best.iloc[0]
    text = f"Best of {plural(len(frame), 'cell')}: {cell_text(stage, line)}, {metric_text(stage, line['value'])}"
    if stage.metric == "validation_mse" and is_known(line["pca_validation"]):
        text += ", " + against(line["value"], line["pca_validation"], "PCA at the same latent dimension")
    return [text + "."]


def undertrained(stage: Stage, frame: pd.DataFrame) -> list[str]:
    """Names the cells that do not beat PCA, or not even the mean image, on the same validation images."""
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


def empty_cells(stage: Stage, dataset: str, frame: pd.DataFrame) -> list[str]:
    """Names the cells without a fully trained trial, and says how their trials ended."""
    parts = []
    for _, line in frame[frame["value"].isna()].iterrows():
        axes = [(stage.rows, line["rows"])] + ([(stage.columns, line["columns"])] if stage.columns else [])
        trials = [t for t in stage.trials if t.dataset == dataset and all(dict(t.cell)[a] == v for a, v in axes)]
        parts.append(f"{cell_text(stage, line)} ({_endings(trials)})")
    return [f"No trial was trained to its end in: {'; '.join(parts)}."] if parts else []


def _endings(trials: list[Trial]) -> str:
    """Says how and when trials ended: 2 stopped at epochs 3 and 9, 1 diverged in epoch 12."""
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

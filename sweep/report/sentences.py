"""Sentences that follow from the numbers; each says by which rule.

Every function returns finished markdown sentences, or none where the numbers for them are missing.
"""

from __future__ import annotations

import math

import pandas as pd

from sweep.report.markdown import (
    axis_name,
    axis_value,
    code,
    dataset_name,
    inert,
    interval,
    listing,
    number,
    percent,
    plural,
)
from sweep.report.published import Published
from sweep.report.rows import Run, Stage, Trial
from sweep.report.tables import QUANTITY, retrained_as
from sweep.statistics import Estimate, difference

# Validation (or test) error this far above training error is called overfitting.
OVERFITTING_GAP = 0.10


def cell_text(stage: Stage, line: pd.Series) -> str:
    """A cell in words: hidden layers 512-128, latent dimension 30."""
    axes = [(stage.rows, line["rows"])] + ([(stage.columns, line["columns"])] if stage.columns else [])
    return ", ".join(f"{axis_name(axis).lower()} {axis_value(axis, value)}" for axis, value in axes)


def best_cell(stage: Stage, frame: pd.DataFrame) -> list[str]:
    """Which cell is best, and how it stands to the baselines."""
    quantity, unit = QUANTITY[stage.metric], " dB" if stage.metric == "validation_psnr_db" else ""
    best = frame[frame["is_best"]]
    if best.empty:
        return ["No trial of this stage was trained to its end, so there is no best cell."]
    line = best.iloc[0]
    text = (
        f"Best of {plural(len(frame), 'cell')}: {cell_text(stage, line)}, with a validation "
        f"{'PSNR' if quantity == 'psnr_db' else quantity.upper()} of {number(line['value'], quantity)}{unit}"
    )
    if quantity == "mse" and is_known(line["pca_validation"]):
        text += f", {_times(line['value'], line['pca_validation'])} PCA's at the same latent dimension"
        text += f" ({number(line['pca_validation'])})"
    return [text + "."]


def undertrained(stage: Stage, frame: pd.DataFrame) -> list[str]:
    """Which cells do not beat PCA, or not even the mean image, on the same validation images."""
    found = frame[frame["value"].notna()]
    judged = found[found["pca_validation"].notna() | found["mean_image_validation"].notna()]
    sentences = []
    if len(judged):
        behind_mean = judged[[not is_better(stage, v, m) for v, m in _pairs(judged, "mean_image_validation")]]
        behind_pca = judged[[not is_better(stage, v, p) for v, p in _pairs(judged, "pca_validation")]]
        only_pca = behind_pca[~behind_pca.index.isin(behind_mean.index)]
        if len(behind_mean):
            sentences.append(f"**Undertrained, no better than the mean image:** {_cells(stage, behind_mean, 'mean_image')}.")
        if len(only_pca):
            sentences.append(f"**Undertrained, no better than PCA:** {_cells(stage, only_pca, 'pca')}.")
        if sentences:
            sentences.append(
                "A linear map of the same latent dimension does as well or better, so these numbers tell of the "
                "training (or of a layer narrower than the code), not of the architecture."
            )
        elif judged["pca_validation"].notna().all():
            sentences.append("Every cell beats both PCA at its latent dimension and the mean image.")
        else:
            sentences.append("Every cell beats the baselines known for it.")
    empty = frame[frame["value"].isna()]
    if len(empty):
        cells = "; ".join(cell_text(stage, line) for _, line in empty.iterrows())
        sentences.append(f"No trial was trained to its end in: {cells}.")
    return sentences


def column_ranks(stage: Stage, frame: pd.DataFrame) -> list[str]:
    """How the columns rank among each other over the rows."""
    if not stage.columns or frame["value"].isna().any() or frame["columns"].map(str).nunique() < 2:
        return []
    along, across = ("rows", "columns") if stage.rows == "latent_dim" else ("columns", "rows")
    axis = stage.columns if across == "columns" else stage.rows
    ranked = frame.groupby(along, sort=False)["value"].rank(ascending=stage.mode == "min")
    labels = [axis_value(axis, value) for value in frame[across]]
    parts = []
    for label in dict.fromkeys(labels):
        mine = ranked[[other == label for other in labels]]
        parts.append(f"{code(label)} {mine.mean():.2f} (first in {int((mine == 1).sum())} of {len(mine)})")
    return [f"Mean rank of {axis_name(axis).lower()} over {axis_name(_other(stage, axis)).lower()}s: {listing(parts)}."]


def published_against_baselines(stage: Stage, dataset: str, frame: pd.DataFrame, published: Published) -> list[str]:
    """How many published values lie above PCA and the mean image, as measured here."""
    if "latent_dim" not in frame or stage.metric != "validation_mse":
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
        f"Of the {plural(len(values), 'published value')} at these latent dimensions, {above_pca} lie above PCA and "
        f"{above_mean} above the mean image as measured here (on validation images of this run, which need not be the "
        "published ones)."
    ]


def winner_sentences(frame: pd.DataFrame) -> list[str]:
    """How each retrained winner stands to PCA on the test set, and whether it overfits."""
    sentences = []
    for _, line in frame.iterrows():
        if line["num_retrained"] == 0 or line["noise_variance"] > 0:
            continue
        name = f"{code(line['hidden_layers'])} at latent dimension {line['latent_dim']} ({line['stage']})"
        pca, mean_image = line["pca_test_mse"], line["mean_image_test_mse"]
        if is_known(pca):
            verdict = "beats" if line["test_mse"] < pca else "**does not beat** (undertrained)"
            text = f"{name} {verdict} PCA on the test set: {_times(line['test_mse'], pca)} its MSE"
            if is_known(mean_image) and line["test_mse"] >= mean_image:
                text += "; it does not even beat the mean image"
            sentences.append(text + ".")
        sentences += [f"{name}: {gap_text(line['retrained_training_mse'], line['test_mse'], 'test')}."]
    return list(dict.fromkeys(sentences))


def gap_text(training: float, other: float, split: str) -> str:
    """Whether an error lies so far above the training error that it is called overfitting."""
    gap = other / training - 1
    if gap > OVERFITTING_GAP:
        return f"{split} error lies {percent(gap)} above training error, so it overfits"
    return f"{split} error is within {percent(OVERFITTING_GAP)} of training error ({100 * gap:+.0f} %): no overfitting"


def regularizers(run: Run, stage: Stage, dataset: str, frame: pd.DataFrame) -> list[str]:
    """Whether any regularizer beats none by more than the spread over seeds, and what the gap says."""
    cells = {dict(cell).get("regularizer"): winner for cell, winner in stage.cells(dataset).items()}
    none = cells.get("none")
    if none is None or stage.columns:
        return []
    others = {name: winner for name, winner in cells.items() if name != "none" and winner is not None}
    sentences = []
    if others:
        name, best = min(others.items(), key=lambda item: _signed(stage, item[1]))
        gain = _signed(stage, none) - _signed(stage, best)
        label, value = axis_value("regularizer", name), number(best.value(stage.metric), QUANTITY[stage.metric])
        none_value = number(none.value(stage.metric), QUANTITY[stage.metric])
        if gain <= 0:
            sentences.append(
                f"No regularizer beats none: {none_value} without, {value} with the best of them ({label}), on "
                "validation images."
            )
        else:
            sentences.append(
                f"{label} does best on validation images, {value} against {none_value} without a regularizer; "
                + _beyond_spread(run, stage, none, best)
            )
    last = none.last
    if last.training_mse and last.validation_mse:
        sentences.append(f"Without a regularizer, {gap_text(last.training_mse, last.validation_mse, 'validation')}.")
        lowest = min(epoch.validation_mse for epoch in none.epochs if epoch.validation_mse is not None)
        if last.validation_mse > 1.01 * lowest:
            rise = last.validation_mse / lowest - 1
            sentences.append(f"Its validation error rose by {percent(rise)} after its lowest point.")
    return sentences


def _beyond_spread(run: Run, stage: Stage, none: Trial, best: Trial) -> str:
    """Whether the difference is more than chance over seeds would give, and how that is known."""
    pairs = [
        ("test MSE of the retrained models", *(_test_values(run, stage, trial) for trial in (best, none))),
        ("validation MSE of the search", best.last.per_seed, none.last.per_seed),
    ]
    for what, mine, other in pairs:
        found = difference(mine, other)
        if found is not None:
            verdict = "more than" if abs(found.mean) > found.half_width else "within"
            better = "lower" if found.mean < 0 else "higher"
            return (
                f"this is {verdict} the spread over seeds: the {what} is {number(abs(found.mean))} {better}, "
                f"95 % interval of the difference ± {number(found.half_width)} (Welch, {found.num_values} seeds a side)."
            )
    for trial in (best, none):
        values = _test_values(run, stage, trial)
        if len(values) > 1 and stage.metric == "validation_mse":
            spread = pd.Series(values).std() / pd.Series(values).mean()
            needed = 2 * math.sqrt(2) * spread
            gain = 1 - best.value(stage.metric) / none.value(stage.metric)
            verdict = "more" if gain > needed else "not more"
            return (
                f"each was trained with one seed here, and the difference of {100 * gain:.1f} % is {verdict} than the "
                f"{100 * needed:.1f} % that two seeds of one configuration may differ by (twice the standard deviation "
                f"of a difference, from {plural(len(values), 'retraining')})."
            )
    return "each was trained with one seed, so the difference cannot be told from chance."


def denoisers(stage: Stage, dataset: str, frame: pd.DataFrame, published: Published) -> list[str]:
    """Whether the network beats the linear denoiser, whether less noise gives a higher PSNR, and what was published."""
    sentences = []
    for split, value, linear in (
        ("validation", "validation_psnr_db", "linear_mmse_validation"),
        ("test", "test_psnr_db", "linear_mmse_test_psnr_db"),
    ):
        if split == "validation" and stage.metric != "validation_psnr_db":
            continue
        found = frame[frame[value].notna() & frame[linear].notna()]
        if found.empty:
            continue
        gains = found[value].astype(float) - found[linear].astype(float)
        losing = found[gains <= 0]
        if losing.empty:
            sentences.append(
                f"On {split} images the network beats the linear MMSE denoiser at every noise variance, by "
                f"{gains.min():.2f} to {gains.max():.2f} dB."
            )
        else:
            where = listing([f"{line['noise_variance']:g} (by {-gains[i]:.2f} dB)" for i, line in losing.iterrows()])
            sentences.append(
                f"**Undertrained:** on {split} images the network does not beat the linear MMSE denoiser at noise "
                f"variance {where}."
            )
    for level, value in published.denoising(dataset).items():
        sentences.append(_published_psnr(dataset, frame, level, value))
    return sentences


def _published_psnr(dataset: str, frame: pd.DataFrame, level: float | None, value: float) -> str:
    if level is None:
        return f"Published for {inert(dataset_name(dataset))}: about {value:g} dB, at no stated noise level."
    parts = []
    for reading, variance in (("a standard deviation", level**2), ("a variance", level)):
        near = frame[(frame["noise_variance"] - variance).abs() < 1e-9]
        for _, line in near.iterrows():
            psnr, split = (line["test_psnr_db"], "test") if is_known(line["test_psnr_db"]) else (line["value"], "validation")
            if is_known(psnr):
                parts.append(f"read as {reading} (variance {variance:g}), the network reaches {psnr:.2f} dB ({split}) here")
    known = "; ".join(parts) or "this run has no such noise variance"
    return f"Published: {value:g} dB at noise level {level:g}, which the source does not define; {known}."


def account_sentences(line: pd.Series) -> str:
    """What ASHA saved on one data set."""
    share = line["epochs_trained"] / line["epochs_full"] if line["epochs_full"] else None
    stops = ", ".join(f"{count} at epoch {rung}" for rung, count in line["stopped_at"].items())
    stopped = f"ASHA stopped {line['stopped']} of {plural(line['trials'], 'trial')}" + (f" ({stops})" if stops else "")
    return (
        f"{stopped}; {line['epochs_trained']:,} of {line['epochs_full']:,} epochs were trained "
        f"({percent(share)} of a full search)."
    )


def headline(run: Run, dataset: str, winners: pd.DataFrame) -> str | None:
    """One line on a data set: the best architecture and its test error beside the baselines'."""
    plain = winners[(winners["num_retrained"] > 0) & (winners["noise_variance"] == 0)] if len(winners) else winners
    if plain.empty:
        return None
    line = plain.iloc[0]
    found = Estimate(line["test_mse"], _number(line["test_mse_half_width"]), line["num_retrained"])
    text = (
        f"{code(line['hidden_layers'])} at latent dimension {line['latent_dim']}: test MSE {interval(found)} "
        f"({plural(line['num_retrained'], 'seed')})"
    )
    if is_known(line["pca_test_mse"]):
        text += f", PCA {number(line['pca_test_mse'])}"
    if is_known(line["mean_image_test_mse"]):
        text += f", mean image {number(line['mean_image_test_mse'])}"
    return text + "."


def _test_values(run: Run, stage: Stage, trial: Trial) -> list[float]:
    return [retraining.result["test_mse"] for retraining in retrained_as(run, stage.name, trial)]


def _cells(stage: Stage, frame: pd.DataFrame, method: str) -> str:
    quantity = QUANTITY[stage.metric]
    return "; ".join(
        f"{cell_text(stage, line)} ({number(line['value'], quantity)} against "
        f"{number(line[f'{method}_validation'], quantity)})"
        for _, line in frame.iterrows()
    )


def _pairs(frame: pd.DataFrame, column: str) -> list[tuple[float, float]]:
    return list(zip(frame["value"], frame[column], strict=True))


def is_better(stage: Stage, value: float, other: float | None) -> bool:
    """Whether a value is better than another; true where there is no other."""
    if not is_known(other):
        return True
    return value < other if stage.mode == "min" else value > other


def _signed(stage: Stage, trial: Trial) -> float:
    return trial.value(stage.metric) * (1.0 if stage.mode == "min" else -1.0)


def _other(stage: Stage, axis: str) -> str:
    return stage.rows if axis == stage.columns else stage.columns


def _times(value: float, other: float) -> str:
    return f"{value / other:.2f} times"


def is_known(value: float | None) -> bool:
    return value is not None and not pd.isna(value)


def _number(value: float | None) -> float | None:
    return float(value) if is_known(value) else None



"""How the retrained winners stand on the test set."""

from __future__ import annotations

import pandas as pd

from aesweep.report.markdown import code, inert, interval, listing, number, plural
from aesweep.report.sentences.rules import against, gap_text, is_known
from aesweep.statistics import Estimate


def headline(winners: pd.DataFrame) -> str | None:
    """One line on a data set: the first stage's plain winner on the test set, beside the baselines."""
    plain = winners[(winners["num_retrained"] > 0) & (winners["noise_variance"] == 0)] if len(winners) else winners
    if plain.empty:
        return None
    line = plain.iloc[0]
    half_width = float(line["test_mse_half_width"]) if is_known(line["test_mse_half_width"]) else None
    found = Estimate(float(line["test_mse"]), half_width, int(line["num_retrained"]))
    text = (
        f"{code(line['hidden_layers'])} at latent dimension {line['latent_dim']} reaches a test MSE of "
        f"{interval(found)} ({plural(found.num_values, 'seed')})"
    )
    for name, column in (("PCA", "pca_test_mse"), ("the mean image", "mean_image_test_mse")):
        if is_known(line[column]):
            text += f", {name} {number(line[column])}"
    return text + "."


def winner_sentences(winners: pd.DataFrame) -> list[str]:
    """For each retrained autoencoder: whether it beats PCA and the mean image on the test set, and overfits."""
    sentences = []
    retrained = winners[(winners["num_retrained"] > 0) & (winners["noise_variance"] == 0)]
    for _, group in retrained.groupby("retraining_trials", sort=False):
        line = group.iloc[0]
        stages = listing([inert(stage) for stage in dict.fromkeys(group["stage"])])
        text = f"Winner of {stages}: "
        if is_known(line["pca_test_mse"]):
            text += f"test MSE {against(line['test_mse'], line['pca_test_mse'], 'PCA')}"
            text += ", so it is undertrained; " if line["test_mse"] >= line["pca_test_mse"] else "; "
        if is_known(line["mean_image_test_mse"]) and line["test_mse"] >= line["mean_image_test_mse"]:
            text += f"not even below the mean image ({number(line['mean_image_test_mse'])}); "
        sentences.append(text + gap_text(line["retrained_training_mse"], line["test_mse"], "test") + ".")
    return sentences


def published_winner(winners: pd.DataFrame) -> list[str]:
    """The published winner's validation error beside the best test error here."""
    plain = winners[(winners["num_retrained"] > 0) & (winners["noise_variance"] == 0)]
    if plain.empty or not is_known(plain.iloc[0]["published_validation_mse"]):
        return []
    line = plain.iloc[0]
    published = line["published_validation_mse"]
    verdict = f"{published / line['test_mse']:.1f} times" if line["test_mse"] < published else "not"
    text = f"The winner's test MSE is {verdict} below the published validation MSE of {published:g}"
    if is_known(line["pca_test_mse"]) and published >= line["pca_test_mse"]:
        text += ", which PCA beats too"
    return [text + "."]

"""How the retrained winners stand on the test set."""

from __future__ import annotations

import pandas as pd

from aesweep.process.wording import plural
from aesweep.report.markdown import code, inert, interval, listing, number
from aesweep.report.sentences.rules import against, gap_text, is_known
from aesweep.statistics import Estimate


def counting(winners: pd.DataFrame) -> pd.DataFrame:
    """The retrained plain autoencoders by their longest retraining: the lines that sentences speak of."""
    if winners.empty:
        return winners
    return winners[(winners["num_retrained"] > 0) & (winners["noise_variance"] == 0) & winners["is_longest"]]


def winner_names(winners: pd.DataFrame) -> pd.Series:
    """What tells each line from the others: its stage, and its cell where several of the stage's were retrained."""
    if winners.empty:
        return pd.Series(dtype=object)
    several = winners.groupby("stage")["trial"].nunique() > 1
    return pd.Series(
        [
            f"{line['stage']} at {line['cell']}" if several[line["stage"]] else line["stage"]
            for _, line in winners.iterrows()
        ],
        index=winners.index,
        dtype=object,
    )


def headline(winners: pd.DataFrame) -> str | None:
    """One line on a data set: the first stage's best plain winner on the test set, beside the baselines."""
    plain = counting(winners)
    if plain.empty:
        return None
    line = plain[plain["is_best"]].iloc[0]
    half_width = float(line["test_mse_half_width"]) if is_known(line["test_mse_half_width"]) else None
    found = Estimate(float(line["test_mse"]), half_width, int(line["num_retrained"]))
    text = (
        f"{code(line['hidden_layers'])} at latent dimension {line['latent_dim']}, the winner of "
        f"{inert(line['stage'])}, reaches a test MSE of {interval(found)} after {plural(line['epochs'], 'epoch')} "
        f"({plural(found.num_values, 'seed')})"
    )
    for name, column in (("PCA", "pca_test_mse"), ("the mean image", "mean_image_test_mse")):
        if is_known(line[column]):
            text += f", {name} {number(line[column])}"
    return text + "."


def winner_sentences(winners: pd.DataFrame) -> list[str]:
    """For each retrained autoencoder: whether it beats PCA and the mean image on the test set, and overfits."""
    sentences = []
    names = winner_names(winners)
    has_budgets = bool((winners.groupby(["stage", "trial"])["epochs"].nunique() > 1).any()) if len(winners) else False
    for _, group in counting(winners).groupby("retraining_trials", sort=False):
        line = group.iloc[0]
        text = f"Winner of {listing([inert(name) for name in dict.fromkeys(names[group.index])])}"
        text += f" after {plural(line['epochs'], 'epoch')}: " if has_budgets else ": "
        if is_known(line["pca_test_mse"]):
            text += f"test MSE {against(line['test_mse'], line['pca_test_mse'], 'PCA')}"
            text += ", so it is undertrained; " if line["test_mse"] >= line["pca_test_mse"] else "; "
        if is_known(line["mean_image_test_mse"]) and line["test_mse"] >= line["mean_image_test_mse"]:
            text += f"not even below the mean image ({number(line['mean_image_test_mse'])}); "
        sentences.append(text + gap_text(line["retrained_training_mse"], line["test_mse"], "test") + ".")
    return sentences


def published_winner(winners: pd.DataFrame) -> list[str]:
    """The published winner's validation error beside the test error of the winner that the headline names."""
    plain = counting(winners)
    if plain.empty or not is_known(plain.iloc[0]["published_validation_mse"]):
        return []
    line = plain[plain["is_best"]].iloc[0]
    published = line["published_validation_mse"]
    test = line["test_mse"]
    verdict = "not" if test >= published else f"{published / test:.1f} times" if test > 0 else "0, which is"
    text = (
        f"The test MSE of the winner of {inert(line['stage'])} is {verdict} below the published validation MSE of "
        f"{published:g}"
    )
    if is_known(line["pca_test_mse"]) and published >= line["pca_test_mse"]:
        text += ", which PCA beats too"
    return [text + "."]

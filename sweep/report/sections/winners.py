"""Section of the retrained winners among plain autoencoders, and their results on the test set."""

from __future__ import annotations

import pandas as pd

from aesweep.process.wording import plural
from aesweep.report.analysis.statistics import Estimate
from aesweep.report.rows.names import axis_value
from aesweep.report.rows.published import Published
from aesweep.report.sections.cells import baseline_value, retrained, retrained_estimate, searched
from aesweep.report.sections.example_images import pictures
from aesweep.report.sections.rules import against, gap_text, is_known
from aesweep.report.sections.section import DatasetView, Section
from aesweep.report.text.markdown import bold, code, inert, listing
from aesweep.report.text.numbers import decimals, interval, number
from aesweep.report.text.table import Table


def winners_section(view: DatasetView) -> Section:
    """Returns the section of one data set's winners."""
    plain = view.winners[view.winners["noise_variance"] == 0] if len(view.winners) else view.winners
    drawings = pictures(view.run, view.folder, view.dataset, "reconstruction")
    title = "Winners on the full data"
    if plain.empty:
        return Section(title, "No winner of a plain autoencoder has been retrained.", drawings=drawings)
    facts = view.facts
    notes = winners_notes(plain)
    return Section(
        title,
        f"Retrained on all {facts['num_training_images'] + facts['num_validation_images']:,} training and validation "
        "images, as PCA and the mean image were fitted; judged on "
        f'{plural(facts["num_test_images"], "test image")}. "Before" is the validation MSE of the same configuration '
        "in the search. Training MSE is measured after the last epoch, without dropout.",
        tables=[winners_table(plain, view.published, view.dataset)],
        footer=f"{notes}{' ' if notes else ''}([CSV](tables/{view.csv}.csv), [each seed](tables/retrainings.csv))",
        prose=winner_sentences(plain) + published_winner(plain),
        drawings=drawings,
    )


def winners_table(frame: pd.DataFrame, published: Published, dataset: str) -> Table:
    """Formats a row per retrained plain autoencoder: before and after retraining, baselines, published numbers."""
    known = published.winner(dataset)
    names = {"train_mse": "Published training MSE", "validation_mse": "Published validation MSE"}
    names = {name: heading for name, heading in names.items() if name in known}
    headings = [
        "Winner of", "Model", "Latent dimension", "Regularizer", "Epochs", "Seeds", "Validation MSE before",
        "Training MSE", "Test MSE", "PCA, test MSE", "Mean image, test MSE", *names.values(),
    ]  # fmt: skip
    rows = []
    for winner, (_, line) in zip(winner_names(frame), frame.iterrows(), strict=True):
        num_seeds, test = line["num_retrained"], interval(retrained_estimate(line, "test_mse"))
        rows.append(
            [
                inert(winner),
                code(line["model"]),
                str(line["latent_dim"]),
                inert(axis_value("regularizer", line["regularizer"])),
                str(line["epochs"]),
                f"{num_seeds}" if num_seeds == line["num_owed"] else f"{num_seeds} of {line['num_owed']}",
                searched(line, number(line["search_validation_mse"])),
                retrained(line, interval(retrained_estimate(line, "retrained_training_mse"))),
                retrained(line, bold(test) if line["is_best"] and line["is_longest"] else test),
                baseline_value(line, number(line["pca_test_mse"]), "pca", dataset),
                baseline_value(line, number(line["mean_image_test_mse"]), "mean_image", dataset),
                *decimals([known[name] for name in names]),
            ]
        )
    return Table(headings, rows, num_labels=2)


def winners_notes(frame: pd.DataFrame) -> str:
    """Explains which lines of the table of winners count, if there are others."""
    counts = frame["is_best"] & frame["is_longest"]
    return "" if counts.all() else "Bold: the winner of each stage, by its longest retraining."


def counting(winners: pd.DataFrame) -> pd.DataFrame:
    """Returns the lines that sentences are about: the retrained plain autoencoders by their longest retraining."""
    if winners.empty:
        return winners
    return winners[(winners["num_retrained"] > 0) & (winners["noise_variance"] == 0) & winners["is_longest"]]


def winner_names(winners: pd.DataFrame) -> pd.Series:
    """Returns a name for each line's winner: its stage, and its cell if several of the stage's were retrained."""
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
    """Returns a sentence on a data set: the first stage's best plain winner on the test set, beside the baselines."""
    plain = counting(winners)
    if plain.empty:
        return None
    line = plain[plain["is_best"]].iloc[0]
    half_width = float(line["test_mse_half_width"]) if is_known(line["test_mse_half_width"]) else None
    found = Estimate(float(line["test_mse"]), half_width, int(line["num_retrained"]))
    text = (
        f"{code(line['model'])} at latent dimension {line['latent_dim']}, the winner of "
        f"{inert(line['stage'])}, reaches a test MSE of {interval(found)} after {plural(line['epochs'], 'epoch')} "
        f"({plural(found.num_values, 'seed')})"
    )
    for name, column in (("PCA", "pca_test_mse"), ("the mean image", "mean_image_test_mse")):
        if is_known(line[column]):
            text += f", {name} {number(line[column])}"
    return text + "."


def winner_sentences(winners: pd.DataFrame) -> list[str]:
    """Says for each retrained autoencoder whether it beats PCA and the mean image on the test set, and overfits."""
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
    """Compares the published winner's validation error with the test error of the winner that the headline names."""
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

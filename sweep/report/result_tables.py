"""Cells and winners as the markdown tables of the report: rounded, labelled, the best in bold."""

from __future__ import annotations

import pandas as pd

from aesweep.configuration import REGULARIZERS
from aesweep.report.markdown import (
    MISSING,
    axis_name,
    axis_value,
    bold,
    code,
    decimals,
    inert,
    interval,
    number,
    table,
)
from aesweep.report.published import Published
from aesweep.report.rows import Stage
from aesweep.report.sentences.architecture import beaten_by
from aesweep.report.sentences.rules import gap_of, is_known
from aesweep.report.sentences.winners import winner_names
from aesweep.report.tables import QUANTITY
from aesweep.statistics import Estimate

QUANTITY_NAMES = {"mse": "MSE", "psnr_db": "PSNR (dB)"}
METHOD_NAMES = {"pca": "PCA", "mean_image": "Mean image", "noisy_input": "Noisy input", "linear_mmse": "Linear MMSE"}
# Behind a number: it is no better than ...
MARKS = {"pca": " †", "mean_image": " ‡"}


def architecture_markdown(stage: Stage, dataset: str, frame: pd.DataFrame, published: Published) -> str:
    """Rows latent dimension, a column for each set of hidden layers, then baselines, then published numbers."""
    along, across = ("columns", "rows") if stage.columns == "latent_dim" else ("rows", "columns")
    row_axis, axis = (stage.columns, stage.rows) if across == "rows" else (stage.rows, stage.columns)
    columns = list(dict.fromkeys(frame[across])) if axis else [None]
    by_depth = published.architecture(dataset) if _published_dims(stage, dataset, published) else {}
    # Numbers at other latent dimensions than these would be a column of dashes.
    shown = set(frame["latent_dim"]) if by_depth else set()
    by_depth = {depth: values for depth, values in by_depth.items() if not shown.isdisjoint(values)}
    headings = [axis_name(row_axis), *(code(axis_value(axis, value)) if axis else "Network" for value in columns)]
    headings += ["PCA", "Mean image", *(f"Published, {depth} layers" for depth in by_depth)]
    texts = [dict(zip(values, decimals(list(values.values())), strict=True)) for values in by_depth.values()]
    rows = []
    for value in dict.fromkeys(frame[along]):
        line = frame[[other == value for other in frame[along]]]
        cells = [
            _cell(stage, line[[column == other for other in line[across]]] if axis else line) for column in columns
        ]
        for method in ("pca", "mean_image"):
            # A row of widths may mix latent dimensions, and PCA has no single value then.
            found = line[f"{method}_validation"].dropna().unique()
            cells.append(number(found[0], QUANTITY[stage.metric]) if len(found) == 1 else MISSING)
        cells += [known.get(value, MISSING) for known in texts]
        rows.append([inert(axis_value(row_axis, value)), *cells])
    return table(headings, rows)


def table_notes(stage: Stage, dataset: str, frame: pd.DataFrame, published: Published) -> str:
    """What the signs in a stage's table mean, of those that are in it."""
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
    if not set(frame.get("latent_dim", ())).isdisjoint(_published_dims(stage, dataset, published)):
        notes.append("Published layers are counted as the source does: hidden layers of the encoder, and the code.")
    return " ".join(notes)


def _published_dims(stage: Stage, dataset: str, published: Published) -> set[int]:
    """The latent dimensions at which there are published numbers that this stage's table can have beside its own."""
    if "latent_dim" not in (stage.rows, stage.columns) or stage.metric != "validation_mse":
        return set()
    return {dim for values in published.architecture(dataset).values() for dim in values}


def winners_markdown(frame: pd.DataFrame, published: Published, dataset: str) -> str:
    """A row per retrained plain autoencoder: before and after retraining, baselines, published numbers."""
    known = published.winner(dataset)
    names = {"train_mse": "Published training MSE", "validation_mse": "Published validation MSE"}
    names = {name: heading for name, heading in names.items() if name in known}
    headings = [
        "Winner of", "Hidden layers", "Latent dimension", "Regularizer", "Epochs", "Seeds", "Validation MSE before",
        "Training MSE", "Test MSE", "PCA, test MSE", "Mean image, test MSE", *names.values(),
    ]  # fmt: skip
    rows = []
    for winner, (_, line) in zip(winner_names(frame), frame.iterrows(), strict=True):
        num_seeds, test = line["num_retrained"], interval(_estimate(line, "test_mse"))
        rows.append(
            [
                inert(winner),
                code(line["hidden_layers"]),
                str(line["latent_dim"]),
                inert(axis_value("regularizer", line["regularizer"])),
                str(line["epochs"]),
                f"{num_seeds}" if num_seeds == line["num_owed"] else f"{num_seeds} of {line['num_owed']}",
                number(line["search_validation_mse"]),
                interval(_estimate(line, "retrained_training_mse")),
                bold(test) if line["is_best"] and line["is_longest"] else test,
                number(line["pca_test_mse"]),
                number(line["mean_image_test_mse"]),
                *decimals([known[name] for name in names]),
            ]
        )
    return table(headings, rows, num_labels=2)


def winners_notes(frame: pd.DataFrame) -> str:
    """Which lines of the table of winners are those that count, where there are others."""
    counts = frame["is_best"] & frame["is_longest"]
    return "" if counts.all() else "Bold: the winner of each stage, by its longest retraining."


def regularization_markdown(stage: Stage, dataset: str, frame: pd.DataFrame, published: Published) -> str:
    """A row per regularizer with the strength that won it, then the baselines."""
    quantity = QUANTITY[stage.metric]
    known = published.regularization(dataset) if quantity == "mse" else {}
    known = known if not set(known).isdisjoint(frame["regularizer"]) else {}
    texts = dict(zip(known, decimals(list(known.values())), strict=True))
    is_retrained = frame["test_mse"].notna().any()
    others = [stage.columns] if stage.columns else []
    headings = ["Regularizer", *map(axis_name, others), "Strength", "Trials", "Training MSE"]
    headings += [f"Validation {QUANTITY_NAMES[quantity]}", "Gap"]
    headings += ["Test MSE, retrained"] if is_retrained else []
    headings += ["Published validation MSE"] if known else []
    rows = []
    for index, line in frame.iterrows():
        cells = [inert(axis_value("regularizer", line["regularizer"]))]
        cells += [inert(axis_value(axis, line["columns"])) for axis in others]
        cells += [_strength(line), f"{line['num_completed']} of {line['num_trials']}", number(line["training_mse"])]
        cells += [_cell(stage, frame.loc[[index]]), _gap(line)]
        cells += [interval(_estimate(line, "test_mse"))] if is_retrained else []
        cells += [texts.get(line["regularizer"], MISSING)] if known else []
        rows.append(cells)
    for method, name in METHOD_NAMES.items():
        found = frame[f"{method}_validation"].dropna().unique()
        if len(found) == 1:
            cells = [f"*{name}*", *[""] * (len(others) + 3), number(found[0], quantity)]
            rows.append(cells + [""] * (len(headings) - len(cells)))
    return table(headings, rows, num_labels=2 + len(others))


def psnr_markdown(stage: Stage, frame: pd.DataFrame) -> str:
    """A row per cell: PSNR of noisy input, linear denoiser and network, on validation and on test images."""
    extra = [stage.columns] if stage.columns else []
    headings = ["Noise variance", *map(axis_name, extra), "Standard deviation"]
    headings += [f"{split}: {name}" for split in ("Validation", "Test") for name in ("noisy", "linear MMSE", "network")]
    rows = []
    for _, line in frame.iterrows():
        cells = [*_noise_cells(line, extra), f"{line['noise_variance'] ** 0.5:.2g}"]
        network = Estimate(line["validation_psnr_db"], None, 1) if is_known(line["validation_psnr_db"]) else None
        noisy, linear = line["noisy_input_validation_psnr_db"], line["linear_mmse_validation_psnr_db"]
        cells += _triple(noisy, linear, network, "psnr_db")
        network = _estimate(line, "test_psnr_db")
        cells += _triple(line["noisy_input_test_psnr_db"], line["linear_mmse_test_psnr_db"], network, "psnr_db")
        rows.append(cells)
    return table(headings, rows, num_labels=0)


def ssim_markdown(stage: Stage, frame: pd.DataFrame) -> str:
    """A row per retrained cell: SSIM on test images; empty where there is none."""
    extra = [stage.columns] if stage.columns else []
    headings = ["Noise variance", *map(axis_name, extra), "Test: noisy", "Test: linear MMSE", "Test: network"]
    rows = [
        _noise_cells(line, extra)
        + _triple(line["noisy_input_test_ssim"], line["linear_mmse_test_ssim"], _estimate(line, "test_ssim"), "ssim")
        for _, line in frame[frame["test_ssim"].notna()].iterrows()
    ]
    return table(headings, rows, num_labels=0)


def generic_markdown(stage: Stage, frame: pd.DataFrame) -> str:
    """A row per cell of a stage whose table is of no known kind."""
    quantity = QUANTITY[stage.metric]
    axes = [(axis, key) for axis, key in ((stage.rows, "rows"), (stage.columns, "columns")) if axis]
    methods = [method for method in METHOD_NAMES if frame[f"{method}_validation"].notna().any()]
    headings = [*(axis_name(axis) for axis, _ in axes), "Trials", "Training MSE"]
    headings += [f"Validation {QUANTITY_NAMES[quantity]}", *(METHOD_NAMES[method] for method in methods)]
    rows = [
        [
            *(inert(axis_value(axis, line[key])) for axis, key in axes),
            f"{line['num_completed']} of {line['num_trials']}",
            number(line["training_mse"]),
            _cell(stage, frame.loc[[index]]),
            *(number(line[f"{method}_validation"], quantity) for method in methods),
        ]
        for index, line in frame.iterrows()
    ]
    return table(headings, rows, num_labels=len(axes))


def _cell(stage: Stage, found: pd.DataFrame) -> str:
    """A cell's value of the stage's metric; bold where it is the stage's best, marked where a baseline is as good."""
    if found.empty:
        return ""
    line = found.iloc[0]
    if not is_known(line["value"]):
        return MISSING
    half_width = float(line["half_width"]) if is_known(line["half_width"]) else None
    text = interval(Estimate(float(line["value"]), half_width, int(line["num_seeds"])), QUANTITY[stage.metric])
    return (bold(text) if line["is_best"] else text) + MARKS.get(beaten_by(stage, found).iloc[0], "")


def _strength(line: pd.Series) -> str:
    """The strengths that the winner of a row was trained with."""
    if not is_known(line["value"]):
        return MISSING
    names = [name for name in REGULARIZERS.get(line["regularizer"], ()) if name in line]
    return ", ".join(f"{axis_value('regularizer', name)} {line[name]:.2g}" for name in names) or MISSING


def _gap(line: pd.Series) -> str:
    """How far validation error lies above training error."""
    if not is_known(line["validation_mse"]) or not is_known(line["training_mse"]):
        return MISSING
    gap = gap_of(line["training_mse"], line["validation_mse"])
    return MISSING if gap is None else f"{100 * gap:+.0f} %"


def _noise_cells(line: pd.Series, extra: list[str]) -> list[str]:
    return [f"{line['noise_variance']:g}", *(inert(axis_value(axis, line["columns"])) for axis in extra)]


def _triple(noisy: float | None, linear: float | None, network: Estimate | None, quantity: str) -> list[str]:
    """Three numbers of which the highest is bold, where there are several to compare."""
    values = [noisy, linear, network.mean if network else None]
    known = [value for value in values if is_known(value)]
    best = max(known) if len(known) > 1 else None
    texts = [number(noisy, quantity), number(linear, quantity), interval(network, quantity)]
    return [
        bold(text) if is_known(value) and value == best else text for value, text in zip(values, texts, strict=True)
    ]


def _estimate(line: pd.Series, name: str) -> Estimate | None:
    """A column of retrained numbers with its half width over seeds."""
    if not is_known(line[name]):
        return None
    half_width = line[f"{name}_half_width"]
    return Estimate(float(line[name]), float(half_width) if is_known(half_width) else None, int(line["num_retrained"]))

"""Frames of cells, winners and trials as the markdown tables of the report: rounded, labelled, the best in bold."""

from __future__ import annotations

import pandas as pd

from sweep.configuration import REGULARIZERS
from sweep.report.account import STATUSES
from sweep.report.markdown import (
    MISSING,
    axis_name,
    axis_value,
    bold,
    code,
    dataset_name,
    hours,
    inert,
    interval,
    number,
    percent,
    table,
)
from sweep.report.published import Published
from sweep.report.rows import Run, Stage, Trial
from sweep.report.tables import QUANTITY
from sweep.statistics import Estimate


def architecture_markdown(stage: Stage, dataset: str, frame: pd.DataFrame, published: Published) -> str:
    """Rows latent dimension, a column for each set of hidden layers, then baselines, then published numbers."""
    quantity = QUANTITY[stage.metric]
    across, along = ("rows", "columns") if stage.columns == "latent_dim" else ("columns", "rows")
    row_axis, column_axis = (stage.columns, stage.rows) if across == "rows" else (stage.rows, stage.columns)
    columns = list(dict.fromkeys(frame[across])) if column_axis else [None]
    by_depth = published.architecture(dataset) if row_axis == "latent_dim" and quantity == "mse" else {}
    headings = [axis_name(row_axis)]
    headings += [code(axis_value(column_axis, value)) if column_axis else "Network" for value in columns]
    headings += ["PCA", "Mean image"] + [f"Published, {depth} layers" for depth in by_depth]
    rows = []
    for value in dict.fromkeys(frame[along]):
        line = frame[[other == value for other in frame[along]]]
        cells = [_cell(line[[c == column for c in line[across]]], quantity) if column_axis else _cell(line, quantity)
                 for column in columns]  # fmt: skip
        pca = line["pca_validation"].dropna().unique()
        mean_image = line["mean_image_validation"].dropna().unique()
        # Widths for rows may mix latent dimensions, and PCA has no single value then.
        cells += [number(found[0], quantity) if len(found) == 1 else MISSING for found in (pca, mean_image)]
        cells += [f"{values[value]:g}" if value in values else MISSING for values in by_depth.values()]
        rows.append([inert(axis_value(row_axis, value)), *cells])
    return table(headings, rows)


def _cell(found: pd.DataFrame, quantity: str) -> str:
    if found.empty:
        return ""
    line = found.iloc[0]
    text = interval(_estimate(line["value"], line["half_width"], line["num_seeds"]), quantity)
    return bold(text) if line["is_best"] else text


def winners_markdown(frame: pd.DataFrame, published: Published, dataset: str) -> str:
    """A row per retrained plain autoencoder: before and after retraining, baselines, published numbers."""
    known = published.winner(dataset)
    headings = [
        "Winner of", "Hidden layers", "Latent dimension", "Regularizer", "Epochs", "Seeds",
        "Validation MSE before", "Training MSE", "Test MSE", "PCA, test MSE", "Mean image, test MSE",
    ]  # fmt: skip
    headings += ["Published training MSE", "Published validation MSE"] if known else []
    rows = []
    for _, line in frame.iterrows():
        cells = [
            inert(line["stage"]),
            code(line["hidden_layers"]),
            str(line["latent_dim"]),
            inert(axis_value("regularizer", line["regularizer"])),
            axis_value("retraining_epochs", _whole(line["retraining_epochs"])),
            f"{line['num_retrained']}" if line["num_retrained"] == line["num_owed"] else f"{line['num_retrained']} of {line['num_owed']}",
            number(line["search_validation_mse"]),
            interval(_estimate(line["retrained_training_mse"], line["retrained_training_mse_half_width"], line["num_retrained"])),
            bold(interval(_estimate(line["test_mse"], line["test_mse_half_width"], line["num_retrained"]))) if line["num_retrained"] else MISSING,
            number(line["pca_test_mse"]),
            number(line["mean_image_test_mse"]),
        ]
        cells += [f"{known[name]:g}" if name in known else MISSING for name in ("train_mse", "validation_mse")] if known else []
        rows.append(cells)
    return table(headings, rows, num_labels=2)


def regularization_markdown(run: Run, stage: Stage, dataset: str, frame: pd.DataFrame, published: Published) -> str:
    """A row per regularizer with the strength that won it, then the baselines."""
    quantity = QUANTITY[stage.metric]
    known = published.regularization(dataset) if quantity == "mse" else {}
    is_retrained = frame["test_mse"].notna().any()
    others = [stage.columns] if stage.columns else []
    headings = ["Regularizer", *map(axis_name, others), "Strength", "Trials", "Training MSE", f"Validation {_label(quantity)}", "Gap"]
    headings += ["Test MSE, retrained"] if is_retrained else []
    headings += ["Published validation MSE"] if known else []
    rows = []
    for _, line in frame.iterrows():
        value = _cell(frame.loc[[line.name]], quantity)
        cells = [inert(axis_value("regularizer", line["regularizer"])), *(axis_value(axis, line["columns"]) for axis in others)]
        cells += [_strength(line), f"{line['num_completed']} of {line['num_trials']}", number(line["training_mse"]), value]
        cells += [percent_signed(line["validation_mse"], line["training_mse"])]
        if is_retrained:
            cells.append(interval(_estimate(line["test_mse"], line["test_mse_half_width"], line["num_retrained"])))
        if known:
            cells.append(f"{known[line['regularizer']]:g}" if line["regularizer"] in known else MISSING)
        rows.append(cells)
    for label, method in (("PCA", "pca"), ("Mean image", "mean_image"), ("Linear MMSE", "linear_mmse")):
        found = frame[f"{method}_validation"].dropna().unique()
        if len(found) == 1:
            cells = [f"*{label}*"] + [""] * (len(others) + 3) + [number(found[0], quantity)]
            rows.append(cells + [""] * (len(headings) - len(cells)))
    return table(headings, rows, num_labels=2 + len(others))


def _strength(line: pd.Series) -> str:
    """The strengths that the winner of a row was trained with."""
    if pd.isna(line["value"]):
        return "no trial finished"
    names = [name for name in REGULARIZERS.get(line["regularizer"], ()) if name in line]
    return ", ".join(f"{axis_value('regularizer', name)} {line[name]:.2g}" for name in names) or MISSING


def psnr_markdown(stage: Stage, frame: pd.DataFrame) -> str:
    """A row per cell: PSNR of the noisy input, the linear denoiser and the network, on validation and on test images."""
    extra = [stage.columns] if stage.columns else []
    headings = ["Noise variance", *map(axis_name, extra), "Standard deviation"]
    headings += [f"{split}: {name}" for split in ("Validation", "Test") for name in ("noisy", "linear MMSE", "network")]
    rows = []
    for _, line in frame.iterrows():
        cells = [f"{line['noise_variance']:g}", *(axis_value(axis, line["columns"]) for axis in extra)]
        cells.append(f"{line['noise_variance'] ** 0.5:.2g}")
        network = Estimate(line["validation_psnr_db"], None, 1) if pd.notna(line["validation_psnr_db"]) else None
        by_psnr = stage.metric == "validation_psnr_db"
        baselines = [line[f"{m}_validation"] if by_psnr else None for m in ("noisy_input", "linear_mmse")]
        cells += _triple(*baselines, network, "psnr_db")
        network = _estimate(line["test_psnr_db"], line["test_psnr_db_half_width"], line["num_retrained"])
        cells += _triple(line["noisy_input_test_psnr_db"], line["linear_mmse_test_psnr_db"], network, "psnr_db")
        rows.append(cells)
    return table(headings, rows, num_labels=0)


def ssim_markdown(stage: Stage, frame: pd.DataFrame) -> str:
    """A row per retrained cell: SSIM on test images; empty where there is none."""
    extra = [stage.columns] if stage.columns else []
    headings = ["Noise variance", *map(axis_name, extra), "Test: noisy", "Test: linear MMSE", "Test: network"]
    rows = []
    for _, line in frame[frame["test_ssim"].notna()].iterrows():
        network = _estimate(line["test_ssim"], line["test_ssim_half_width"], line["num_retrained"])
        cells = [f"{line['noise_variance']:g}", *(axis_value(axis, line["columns"]) for axis in extra)]
        rows.append(cells + _triple(line["noisy_input_test_ssim"], line["linear_mmse_test_ssim"], network, "ssim"))
    return table(headings, rows, num_labels=0)


def _triple(noisy: float | None, linear: float | None, network: Estimate | None, quantity: str) -> list[str]:
    """Three numbers of which the highest is bold."""
    values = [noisy, linear, network.mean if network else None]
    known = [value for value in values if value is not None and pd.notna(value)]
    texts = [number(noisy, quantity), number(linear, quantity), interval(network, quantity)]
    return [
        bold(text) if text != MISSING and value == max(known) else text
        for value, text in zip(values, texts, strict=True)
    ]


def generic_markdown(stage: Stage, frame: pd.DataFrame) -> str:
    """A row per cell of a stage whose table is of no known kind."""
    quantity = QUANTITY[stage.metric]
    axes = [axis for axis in (stage.rows, stage.columns) if axis]
    methods = [method for method in ("pca", "mean_image", "linear_mmse", "noisy_input")
               if frame[f"{method}_validation"].notna().any()]  # fmt: skip
    names = {"pca": "PCA", "mean_image": "Mean image", "linear_mmse": "Linear MMSE", "noisy_input": "Noisy input"}
    headings = [*map(axis_name, axes), "Trials", "Training MSE", f"Validation {_label(quantity)}"]
    headings += [names[method] for method in methods]
    rows = [
        [
            *(inert(axis_value(axis, line[key])) for axis, key in zip(axes, ("rows", "columns"), strict=False)),
            f"{line['num_completed']} of {line['num_trials']}",
            number(line["training_mse"]),
            _cell(frame.loc[[index]], quantity),
            *(number(line[f"{method}_validation"], quantity) for method in methods),
        ]
        for index, line in frame.iterrows()
    ]
    return table(headings, rows, num_labels=len(axes))


def configurations_markdown(winners: list[tuple[str, Trial]]) -> str:
    """Every field of the winners' configurations, a column each."""
    headings = ["", *(inert(label) for label, _ in winners)]
    fields = [field for field in vars(winners[0][1].configuration)] if winners else []
    rows = [
        [inert(axis_name(field)), *(inert(_field(trial, field)) for _, trial in winners)] for field in fields
    ]
    rows.append(["Trial", *(code(trial.name) for _, trial in winners)])
    return table(headings, rows)


def _field(trial: Trial, field: str) -> str:
    value = getattr(trial.configuration, field)
    return "0" if value == 0 and isinstance(value, float) else axis_value(field, value)


def account_markdown(frame: pd.DataFrame) -> str:
    """What became of the trials, and what they cost; with a last row for everything."""
    if frame.empty:
        return ""
    statuses = [status for status in STATUSES if frame[status].any() or status in ("completed", "stopped", "diverged", "failed")]
    has_gpu = bool(frame["gpu_hours"].any())
    headings = ["Stage", "Data set", "Trials", *(status.capitalize() for status in statuses), "Stopped at"]
    headings += ["Epochs trained", "Full search", "Share", "Core hours"] + (["GPU hours"] if has_gpu else [])
    rows = []
    for _, line in frame.iterrows():
        stops = ", ".join(f"{rung}: {count}" for rung, count in line["stopped_at"].items()) or MISSING
        rows.append([inert(line["stage"]), inert(dataset_name(line["dataset"])), *_account(line, statuses, stops, has_gpu)])
    total = frame.drop(columns=["stage", "dataset", "stopped_at"]).sum()
    rows.append(["**All**", "", *_account(total, statuses, "", has_gpu)])
    return table(headings, rows, num_labels=2)


def _account(line: pd.Series, statuses: list[str], stops: str, has_gpu: bool) -> list[str]:
    share = line["epochs_trained"] / line["epochs_full"] if line["epochs_full"] else None
    return [
        f"{int(line['trials']):,}",
        *(f"{int(line[status]):,}" for status in statuses),
        stops,
        f"{int(line['epochs_trained']):,}",
        f"{int(line['epochs_full']):,}",
        percent(share),
        hours(line["core_hours"] * 3600),
        *([hours(line["gpu_hours"] * 3600)] if has_gpu else []),
    ]


def failures_markdown(frame: pd.DataFrame) -> str:
    """The ledger of what ended badly."""
    rows = [
        [code(line["trial"]), inert(line["stage"]), inert(dataset_name(line["dataset"])), line["status"],
         str(line["epochs"]), code(line["reason"] or "")]
        for _, line in frame.iterrows()
    ]  # fmt: skip
    return table(["Trial", "Stage", "Data set", "Ended", "Epochs", "Reason"], rows, num_labels=6)


def percent_signed(value: float | None, base: float | None) -> str:
    """How far a value lies above another, in percent."""
    if value is None or base is None or pd.isna(value) or pd.isna(base) or not base:
        return MISSING
    return f"{100 * (value / base - 1):+.0f} %"


def _estimate(mean: float | None, half_width: float | None, num_values: int) -> Estimate | None:
    if mean is None or pd.isna(mean):
        return None
    return Estimate(float(mean), None if pd.isna(half_width) else float(half_width), int(num_values))


def _label(quantity: str) -> str:
    return {"mse": "MSE", "psnr_db": "PSNR (dB)", "ssim": "SSIM"}[quantity]


def _whole(value: float | None) -> int | None:
    return None if value is None or pd.isna(value) else int(value)

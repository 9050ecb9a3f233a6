"""The columns of a run's frames: what each holds, in which unit, and as which type.

A frame's columns have the types given here whatever a run holds, so that frames of several runs can be put together,
and an exported file has the same schema from its first row on.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from pandas.api.types import is_bool_dtype, is_float_dtype, is_integer_dtype

from aesweep.study.configuration import FIELDS, OPTION


@dataclasses.dataclass(frozen=True)
class Column:
    """What a column holds.

    Attributes:
        kind: "text", "number" (float64, NaN where there is none), "count" (whole numbers), "flag", "time" (UTC); or
            "setting", one of the first four, whichever holds all values that a run has of it.
        unit: unit of the values; empty for texts and flags, "1" for numbers without a unit.
        meaning: what the values are.
    """

    kind: str
    unit: str
    meaning: str


def _text(meaning: str) -> Column:
    return Column("text", "", meaning)


def _flag(meaning: str) -> Column:
    return Column("flag", "", meaning)


def _count(unit: str, meaning: str) -> Column:
    return Column("count", unit, meaning)


def _number(unit: str, meaning: str) -> Column:
    return Column("number", unit, meaning)


MSE, DB, NATS = "pixel^2, pixels in [0, 1]", "dB", "nats per image"
_COLUMNS: dict[str, Column] = {
    "trial": _text("name of the trial or retraining, unique in the run; of a cell, that of its winner"),
    "stage": _text("name of the stage; `retraining` for retrainings"),
    "dataset": _text("name of the data set"),
    "cell": _text("the trial's cell in its stage's table, in words"),
    "status": _text(
        "completed, stopped (by ASHA), audited (stopped, and trained on out of competition), diverged, failed, "
        "interrupted; unfinished or waiting without an end"
    ),
    "reason": _text("why it failed, diverged or was interrupted"),
    "epochs": _count("epochs", "epochs that are recorded, but for those out of competition"),
    "budget": _count("epochs", "epochs that it trains if nothing stops it"),
    "epoch": _count("epochs", "the epoch, from 1"),
    "seconds": _number("s", "how long it held its worker; of a row, the training of the epoch"),
    "seeds": _text("seeds of the trial, with a space between them"),
    "seed": _count("1", "seed of the retraining"),
    "is_winner": _flag("whether it is the best fully trained trial of its cell, so far if the stage goes on"),
    "is_best": _flag("whether it is the winner of its stage on its data set"),
    "loss": _number("1", "the objective, as trained"),
    "training_mse": _number(MSE, "MSE of training images after the epoch, without dropout"),
    "validation_mse": _number(MSE, "MSE of the validation images"),
    "validation_psnr_db": _number(DB, "mean PSNR of the validation images"),
    "rate_nats": _number(NATS, "mean divergence of a variational model's codes on the validation images"),
    "time": Column("time", "UTC", "when it was recorded"),
    "created": Column("time", "UTC", "when the trial was recorded, before it was trained"),
    "ended": Column("time", "UTC", "when its end was recorded"),
    "is_audit": _flag("whether the epoch was trained out of competition, after ASHA had stopped the trial"),
    "journal_line": _count("1", "its line in journal.jsonl, from 1"),
    "action": _text("what ASHA decided: continue, stop or audit (stop, and train on out of competition)"),
    "cutoff": _number("the stage's metric", "value that had to be reached; none for the first at a rung"),
    "num_compared": _count("trials", "how many trials it was compared with"),
    "metric": _text("the metric by which the stage's trials compete"),
    "mode": _text("min or max: which values of the metric are better"),
    "value": _number("the stage's metric", "the metric at the trial's last epoch, or at the rung"),
    "half_width": _number("the stage's metric", "half width of the value's 95 % interval over the trial's seeds"),
    "rank": _number("1", "rank of the value among the stage's cells, 1 for the best"),
    "num_trials": _count("trials", "trials of the cell"),
    "num_completed": _count("trials", "trials of the cell that were trained to their end"),
    "num_seeds": _count("seeds", "seeds of the winning trial"),
    "num_retrained": _count("retrainings", "retrainings with a result, of the longest budget"),
    "num_images": _count("images", "images that it was trained on"),
    "num_fitted": _count("images", "images that the classifier was fitted on"),
    "num_judged": _count("images", "images that the accuracy is measured on"),
    "retraining_epochs": _count("epochs", "epochs of the winner's longest retraining"),
    "retraining_trials": _text("names of these retrainings, one per seed, with a space between them"),
    "serves": _text("the winners that a retraining stands for, with a space between them"),
    "checkpoint": _text("file of the model, relative to the run's folder"),
    "checkpoint_sha256": _text("SHA-256 of that file"),
    "split": _text("the images that were judged: validation or test"),
    "method": _text("mean_image, pca, noisy_input, linear_mmse; of codes: model, pca, pixels"),
    "mse": _number(MSE, "MSE of the method"),
    "psnr_db": _number(DB, "mean PSNR of the method"),
    "ssim": _number("1", "mean SSIM of the method"),
    "test_mse": _number(MSE, "MSE of the test images, mean over seeds where there are several"),
    "test_psnr_db": _number(DB, "mean PSNR of the test images"),
    "test_ssim": _number("1", "mean SSIM of the test images"),
    "test_rate_nats": _number(NATS, "mean divergence of a variational model's codes on the test images"),
    "retrained_training_mse": _number(MSE, "training MSE of the retrainings, mean over seeds"),
    "retraining": _text("the retraining whose codes were judged"),
    "probe_accuracy": _number("1", "share of test labels that logistic regression on the codes gets right"),
    "neighbour_accuracy": _number("1", "share of test labels that the five nearest codes' vote gets right"),
    # the configuration
    "model": _text("what is trained, without its latent dimension"),
    "family": _text("kind of model"),
    "hidden_layers": _text("widths of the encoder's hidden layers: 512-128"),
    "channels": _text("channels of a convolutional encoder's maps: 32-64"),
    "kernel_size": _count("pixels", "side of the kernels"),
    "normalization": _text("normalization of maps"),
    "latent_dim": _count("numbers", "length of the code"),
    "activation": _text("activation of hidden layers"),
    "output": _text("activation of the last layer"),
    "initialization": _text("how parameters were drawn"),
    "learning_rate": _number("1", "peak rate of Adam; of a row, the rate at the epoch's end"),
    "schedule": _text("schedule of the learning rate"),
    "batch_size": _count("images", "images per step"),
    "regularizer": _text("regularizer"),
    "l1": _number("1", "weight of the sum of absolute weights"),
    "l2": _number("1", "weight of the sum of squared weights"),
    "weight_decay": _number("1", "decoupled decay of weights"),
    "dropout": _number("1", "probability that a hidden unit is dropped"),
    "sparse_code": _number("1", "weight of the code's absolute sum"),
    "noise_variance": _number(
        "pixel^2, pixels in [0, 1]", "variance of the noise on inputs; 0 for a plain autoencoder"
    ),
    "code": _text("plain or variational"),
    "beta": _number("1", "weight of a variational code's divergence"),
    "likelihood": _text("gaussian or bernoulli"),
    "options": _text("settings of a family that a package offers"),
    # the account
    "trials": _count("trials", "number of trials"),
    "stopped_at": _text("rung:trials that were stopped there, with a space between them"),
    "stopped_after": _count("epochs", "the epoch after which ASHA stopped it"),
    "winner": _text("the best trial of its cell and budget that was trained to its end in competition"),
    "winner_value": _number("the stage's metric", "the metric at that trial's last epoch"),
    "would_have_won": _flag("whether it ended better than that trial, or there is none"),
    "epochs_trained": _count("epochs", "epochs that were trained"),
    "epochs_full": _count("epochs", "epochs that training every trial to its end would have taken"),
    "worker_seconds": _number("s", "time that trials held a worker"),
    "core_hours": _number("h", "the same for each core"),
    "gpu_hours": _number("h", "the same for each GPU"),
}
_STATUSES = ("completed", "stopped", "audited", "diverged", "failed", "interrupted", "unfinished", "waiting")
_COLUMNS.update({name: _count("trials", f"trials with the status {name}") for name in _STATUSES})
_UNITS = {"mse": MSE, "psnr_db": DB, "ssim": "1"}
_HALF_WIDTH = re.compile(r"(?P<of>.+)_half_width")
_BASELINE = re.compile(
    r"(?P<method>mean_image|pca|noisy_input|linear_mmse)_(?P<split>validation|test)(_(?P<quantity>mse|psnr_db|ssim))?"
)
CONFIGURATION = ("model", *FIELDS)


def column(name: str) -> Column:
    """Returns what the column of that name holds.

    Raises:
        KeyError: no frame has such a column.
    """
    if name in _COLUMNS:
        return _COLUMNS[name]
    if match := _HALF_WIDTH.fullmatch(name):
        return _number(column(match["of"]).unit, f"half width of the 95 % interval over seeds of {match['of']}")
    if match := _BASELINE.fullmatch(name):
        method = match["method"].replace("_", " ")
        unit = _UNITS[match["quantity"]] if match["quantity"] else "the stage's metric"
        return _number(unit, f"what the {method} baseline reaches on images of the split {match['split']}")
    if name.startswith(OPTION):
        return Column("setting", "", f"setting {name.removeprefix(OPTION)} of a family that a package offers")
    raise KeyError(name)


def configuration_columns(frame: pd.DataFrame) -> list[str]:
    """Returns the columns of a frame that tell a configuration."""
    return [name for name in frame.columns if name in CONFIGURATION or name.startswith(OPTION)]


def setting_kind(values: Iterable[Any]) -> str:
    """Returns the kind of column that holds the values of a family's setting."""
    types = {type(value) for value in values}
    if types and types <= {int, float}:
        return "count" if types == {int} else "number"
    return "flag" if types == {bool} else "text"


def kind_of(values: pd.Series) -> str:
    """Returns the kind of a column of a typed frame, of a setting the one that it has there."""
    kind = column(values.name).kind
    if kind != "setting":
        return kind
    tests = {"flag": is_bool_dtype, "count": is_integer_dtype, "number": is_float_dtype}
    return next((name for name, test in tests.items() if test(values.dtype)), "text")


def typed(frame: pd.DataFrame, settings: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Returns a frame whose columns have the types that their kinds say.

    Args:
        frame: the frame.
        settings: the kinds of the columns of families' settings, from `setting_kind`; text where none is given.
    """
    kinds = {name: (settings or {}).get(name) or column(name).kind for name in frame.columns}
    kinds = {name: "text" if kind == "setting" else kind for name, kind in kinds.items()}
    return frame.assign(**{name: _typed(frame[name], kind) for name, kind in kinds.items()})


def _typed(values: pd.Series, kind: str) -> pd.Series:
    match kind:
        case "text":
            return values.map(lambda value: None if value is None or value != value else str(value)).astype("str")
        case "number":
            return pd.to_numeric(values).astype("float64")
        case "count":
            numbers = pd.to_numeric(values)
            return numbers.astype("Int64" if numbers.isna().any() else "int64")
        case "flag":
            return values.astype("boolean" if values.isna().any() else bool)
    # Rounded first, since a time in seconds is no exact number of microseconds as a float.
    microseconds = (pd.to_numeric(values).astype("float64") * 1e6).round().astype("Int64")
    return pd.to_datetime(microseconds, unit="us", utc=True).astype("datetime64[us, UTC]")


def description(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns a line for each column of a frame: its type, its unit and what it holds."""
    lines = [
        {"column": name, "type": str(frame[name].dtype), "unit": column(name).unit, "meaning": column(name).meaning}
        for name in frame.columns
    ]
    return pd.DataFrame(lines, columns=["column", "type", "unit", "meaning"]).set_index("column")

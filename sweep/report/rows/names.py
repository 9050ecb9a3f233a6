"""The names of axes, their values, cells and data sets in the report, and of the files that are named after them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

from aesweep.study.configuration import OPTION

MISSING = "–"
REGULARIZER_NAMES = {
    "none": "None",
    "l1": "L1",
    "l2": "L2",
    "l1_l2": "L1 + L2",
    "weight_decay": "Weight decay",
    "dropout": "Dropout",
    "sparse_code": "Sparse code",
}
AXIS_NAMES = {
    "hidden_layers": "Hidden layers",
    "model": "Model",
    "kernel_size": "Kernel size",
    "latent_dim": "Latent dimension",
    "noise_variance": "Noise variance",
    "batch_size": "Batch size",
    "learning_rate": "Learning rate",
}
DATASET_NAMES = {
    "digits": "Digits",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "kmnist": "Kuzushiji-MNIST",
    "qmnist": "QMNIST",
    "emnist_byclass": "EMNIST by class",
    "emnist_bymerge": "EMNIST by merge",
    "emnist_balanced": "EMNIST balanced",
    "emnist_letters": "EMNIST letters",
    "emnist_digits": "EMNIST digits",
    "emnist_mnist": "EMNIST MNIST",
    "cifar10": "CIFAR-10",
}


def axis_name(axis: str) -> str:
    """Returns the heading of an axis."""
    return AXIS_NAMES.get(axis, axis.removeprefix(OPTION).replace("_", " ").capitalize())


def axis_value(axis: str, value: Any) -> str:
    """Formats a value of an axis as the heading of a row or column: widths as 512-128, regularizers by their names."""
    if value is None:
        return MISSING
    if axis == "regularizer":
        return REGULARIZER_NAMES.get(value, value.replace("+", " + "))
    if axis == "options":
        return ", ".join(f"{name} {axis_value('', setting)}" for name, setting in value) or "none"
    if isinstance(value, (tuple, list)):
        return "-".join(str(width) for width in value) or "none"
    # The study's digits are kept, so that values which differ only in the fifth digit have different headings.
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def drawn_value(axis: str, value: Any) -> str:
    """Formats a value of an axis that may have been drawn at random, and then has more digits than are useful."""
    return f"{value:.4g}" if isinstance(value, float) else axis_value(axis, value)


def cell_name(cell: Iterable[tuple[str, Any]]) -> str:
    """Describes a cell by its axes and their values: latent dimension 30, hidden layers 512-128."""
    return ", ".join(f"{axis_name(axis).lower()} {axis_value(axis, value)}" for axis, value in cell)


def dataset_name(name: str) -> str:
    return DATASET_NAMES.get(name, name)


def file_name(*parts: str) -> str:
    """Joins names to one that is safe as a file's name and inside a link."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", "-".join(parts)).lstrip(".")


def untaken(name: str, taken: Iterable[str]) -> str:
    """Returns the name, or the first of name.2, name.3, ... that is not taken.

    Case is ignored, since some file systems ignore it.
    """
    known = {other.casefold() for other in taken}
    numbered = (f"{name}.{number}" for number in itertools.count(2))
    return next(found for found in itertools.chain([name], numbered) if found.casefold() not in known)

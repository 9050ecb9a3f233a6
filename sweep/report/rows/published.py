"""Published numbers beside a run's own. They are read leniently: the file is the user's, and only compared with."""

from __future__ import annotations

import math
from typing import Any


class Published:
    """The published numbers of the reference that a study names.

    Args:
        values: the mapping that the journal keeps; None if the study names no reference. The form is that of
            jobs/published_numbers.yaml; parts that are missing or of another form count as not given.
    """

    def __init__(self, values: dict[str, Any] | None):
        self._values = values if isinstance(values, dict) else {}

    def __bool__(self) -> bool:
        return bool(self._values)

    @property
    def source(self) -> str:
        return str(self._values.get("source", "the reference file"))

    @property
    def claims(self) -> list[str]:
        found = self._values.get("claims_made")
        return [str(claim) for claim in found] if isinstance(found, list) else []

    def architecture(self, dataset: str) -> dict[int, dict[int, float]]:
        """Returns the validation MSE by number of layers and latent dimension."""
        latent_dims = _mapping(self._values, "architecture_validation_mse").get("latent_dims")
        found = {}
        for label, values in _mapping(self._values, "architecture_validation_mse", dataset).items():
            depth = str(label).partition("_")[0]
            if depth.isdigit() and isinstance(values, list) and isinstance(latent_dims, list):
                pairs = zip(latent_dims, values, strict=False)
                found[int(depth)] = {dim: value for dim, value in pairs if _is_number(value)}
        return found

    def winner(self, dataset: str) -> dict[str, float]:
        """Returns train_mse and validation_mse of the winner on the full data, as far as they are given."""
        return _numbers(_mapping(self._values, "winner_full_data_30_epochs", dataset))

    def regularization(self, dataset: str) -> dict[str, float]:
        """Returns the validation MSE by regularizer."""
        return _numbers(_mapping(self._values, "regularization_validation_mse", dataset))

    def denoising(self, dataset: str) -> dict[float | None, float]:
        """Returns the PSNR in dB after the last epoch by noise level; None stands for a value without a noise level."""
        values = _mapping(self._values, "denoising_validation_psnr_db", dataset)
        found: dict[float | None, float] = {}
        if _is_number(values.get("about")):
            found[None] = float(values["about"])
        for label, entry in values.items():
            try:
                level = float(str(label).removeprefix("noise_level_"))
            except ValueError:
                continue
            if isinstance(entry, dict) and _is_number(entry.get("last_epoch")):
                found[level] = float(entry["last_epoch"])
        return found


def _mapping(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    found: Any = values
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    return {str(key): float(value) for key, value in values.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

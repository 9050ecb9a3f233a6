"""The published numbers are found, and anything else in their file is passed over."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from synthetic import REFERENCE

from aesweep.report.rows.published import Published


def test_the_projects_file_is_read_whole() -> None:
    published = Published(yaml.safe_load(REFERENCE.read_text()))
    assert published.architecture("mnist")[3] == {15: 0.061, 30: 0.044, 50: 0.040, 100: 0.039}
    assert list(published.architecture("fashion_mnist")) == [3, 5]
    assert published.winner("fashion_mnist") == {"train_mse": 0.024, "validation_mse": 0.027}
    assert published.regularization("mnist") == {"none": 0.040, "l1": 0.078, "l2": 0.041, "l1_l2": 0.077}
    assert published.denoising("mnist") == {0.2: 22.0}
    assert published.denoising("fashion_mnist") == {None: 20.0}
    assert len(published.claims) == 4


@pytest.mark.parametrize(
    "values",
    [
        None,
        {},
        {"architecture_validation_mse": 3},
        {"architecture_validation_mse": {"mnist": {"3_hidden_layers": "x", "deep": [1]}}},
        {"winner_full_data_30_epochs": {"mnist": [1, 2]}, "claims_made": "none"},
        {"denoising_validation_psnr_db": {"mnist": {"noise_level_x": 3, "noise_level_0.2": 4}}},
        {"regularization_validation_mse": {"mnist": {"l1": "much", "l2": True}}},
    ],
)
def test_other_forms_count_as_not_given(values: dict[str, Any] | None) -> None:
    published = Published(values)
    assert published.architecture("mnist") == {}
    assert published.winner("mnist") == {} == published.regularization("mnist") == published.denoising("mnist")
    assert published.claims == []

"""The benchmark's own claims: both sides are of about one size, are judged alike, and ratios compare rounds."""

from __future__ import annotations

import importlib.util

import bench_peers
import numpy as np
import pytest
import torch
from bench_peers import LATENT_DIM, Measurement, Ours, Pythae

from aesweep.study.configuration import Configuration

TINY = Configuration(family="convolutional", channels=(2,), hidden_layers=(), latent_dim=LATENT_DIM, batch_size=16)
IMAGES = np.random.default_rng(4).integers(0, 256, (48, 784), dtype=np.uint8)


def test_ratios_are_medians_of_the_rounds_ratios():
    measured = {
        "ours": [Measurement(0.01, 10.0, 8.0), Measurement(0.02, 20.0, 16.0), Measurement(0.01, 10.0, 8.0)],
        "pythae": [Measurement(0.03, 20.0, 16.0), Measurement(0.02, 80.0, 64.0), Measurement(0.02, 30.0, 24.0)],
    }
    table = bench_peers.summary(measured, {"ours": 1234567, "pythae": 7})
    ours, pythae = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:])
    assert ours == ["ours", "1,234,567", "0.010000", "10.0", "8.0", "1.00", "1.00", "1.00"]
    assert pythae == ["pythae", "7", "0.020000", "30.0", "24.0", "2.00", "3.00", "3.00"]


def test_error_is_the_mean_over_images_and_pixels():
    outputs = torch.from_numpy(IMAGES).float() / 255 + 0.25
    assert bench_peers.mean_squared_error(outputs, IMAGES) == pytest.approx(0.0625, rel=1e-5)


def test_our_side_trains_on_what_it_is_given():
    side = Ours(TINY, "fp32")
    short, long = (side.measure(IMAGES, IMAGES, seed=0, epochs=epochs) for epochs in (1, 30))
    assert long.mse < short.mse and short.seconds > 0 and short.cpu_seconds > 0


@pytest.mark.skipif(importlib.util.find_spec("pythae") is None, reason="NOT RUN: pip install 'aesweep[peers]'")
def test_sides_are_of_about_one_size_by_default():
    theirs = Pythae(1e-3, 16)
    ours = Ours(bench_peers.configurations(bench_peers.parser().parse_args([]))[3e-3], "fp32")
    assert 0.95 < ours.num_parameters / theirs.num_parameters < 1.05

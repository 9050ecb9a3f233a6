"""MSE, PSNR and SSIM against scikit-image, image by image, and their behaviour at the edges."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from aesweep.models.metrics import mse, per_image_mse, psnr_db, ssim, ssim_window


def images(shape: tuple[int, ...], seed: int, dtype=np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Targets in [0, 1] and outputs near them."""
    random = np.random.default_rng(seed)
    targets = random.random(shape)
    outputs = np.clip(targets + random.normal(0, 0.2, shape), 0, 1)
    return outputs.astype(dtype), targets.astype(dtype)


@pytest.mark.parametrize("shape", [(9, 64), (9, 1, 8, 8), (4, 3, 12, 10), (1, 5)])
@pytest.mark.parametrize("seed", [0, 1])
def test_mse_and_psnr_are_scikit_images_averaged_over_images(shape, seed):
    outputs, targets = images(shape, seed)
    each = [mean_squared_error(target, output) for target, output in zip(targets, outputs, strict=True)]
    assert per_image_mse(outputs, targets) == pytest.approx(each, rel=1e-12)
    assert mse(outputs, targets) == pytest.approx(np.mean(each), rel=1e-12)
    ratios = [
        peak_signal_noise_ratio(target, output, data_range=1) for target, output in zip(targets, outputs, strict=True)
    ]
    assert psnr_db(outputs, targets) == pytest.approx(np.mean(ratios), rel=1e-12)


def test_psnr_of_a_known_error_is_exact():
    targets = np.zeros((2, 10))
    outputs = np.stack([np.full(10, 0.1), np.full(10, 0.01)])  # 20 dB and 40 dB
    assert psnr_db(outputs, targets) == pytest.approx(30.0, abs=1e-12)


def test_single_precision_images_are_compared_in_double_precision():
    outputs, targets = images((50, 784), 4, np.float32)
    assert mse(outputs, targets) == pytest.approx(mse(outputs.astype(float), targets.astype(float)), rel=1e-14)


@pytest.mark.parametrize(
    ("shape", "window"), [((1, 28, 28), 7), ((1, 8, 8), 3), ((3, 16, 20), 7), ((1, 13, 30), 5), ((1, 3, 3), 3)]
)
def test_ssim_is_scikit_images_averaged_over_images(shape, window):
    outputs, targets = images((5, *shape), 2)
    each = [
        structural_similarity(target, output, win_size=window, data_range=1.0, channel_axis=0)
        for target, output in zip(targets, outputs, strict=True)
    ]
    assert ssim_window(shape) == window
    assert ssim(outputs, targets, shape) == pytest.approx(np.mean(each), rel=1e-12)
    assert ssim(outputs.reshape(5, -1), targets.reshape(5, -1), shape) == ssim(outputs, targets, shape)


def test_ssim_of_equal_images_is_one():
    targets = images((3, 64), 0)[1]
    assert ssim(targets, targets, (1, 8, 8)) == pytest.approx(1.0, abs=1e-12)


def test_ssim_of_images_too_small_for_a_window_is_nan():
    outputs, targets = images((3, 1, 2, 9), 0)
    assert ssim_window((1, 2, 9)) is None
    assert math.isnan(ssim(outputs, targets, (1, 2, 9)))


def test_an_image_met_exactly_counts_as_120_db_and_no_more():
    outputs, targets = images((3, 64), 0)
    outputs[1] = targets[1]
    assert psnr_db(targets, targets) == pytest.approx(120.0)
    assert math.isfinite(psnr_db(outputs, targets))


def test_a_nan_in_one_pixel_reaches_every_mean():
    outputs, targets = images((3, 1, 8, 8), 0)
    outputs[1, 0, 2, 3] = math.nan
    assert math.isnan(mse(outputs, targets))
    assert math.isnan(psnr_db(outputs, targets))
    assert math.isnan(ssim(outputs, targets, (1, 8, 8)))
    assert np.isnan(per_image_mse(outputs, targets)).tolist() == [False, True, False]


@pytest.mark.parametrize("shapes", [((3, 4), (3, 5)), ((3, 4), (1, 4)), ((0, 4), (0, 4))])
def test_shapes_that_differ_are_refused_rather_than_broadcast(shapes):
    with pytest.raises(ValueError, match="expected outputs and targets of one shape"):
        mse(*(np.zeros(shape) for shape in shapes))


def test_torch_stays_unimported():
    code = "import sys; import aesweep.models.metrics, aesweep.models.baselines; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0

"""Metrics of outputs against their targets: MSE, PSNR, SSIM.

Images are floats in [0, 1], [N, D] or [N, C, H, W], and everything is computed in float64. A NaN or an infinity among
the outputs makes the metric of its image NaN or infinite, and with it the mean: a broken model is never averaged away.
"""

from __future__ import annotations

import numpy as np

MIN_MSE = 1e-12  # 120 dB, far below what 8-bit images can tell apart


def mse(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Returns the mean squared error per pixel: the mean over images and pixels of (output - target)^2."""
    return float(per_image_mse(outputs, targets).mean())


def per_image_mse(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns the mean squared error per pixel of each image, float64 [N].

    Raises:
        ValueError: the shapes differ, or there are no images.
    """
    if np.shape(outputs) != np.shape(targets) or np.size(targets) == 0:
        raise ValueError(
            f"expected outputs and targets of one shape, not empty; got {np.shape(outputs)} and {np.shape(targets)}"
        )
    difference = np.subtract(outputs, targets, dtype=np.float64).reshape(len(targets), -1)
    return np.square(difference, out=difference).mean(axis=1)


def psnr_db(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Returns the peak signal-to-noise ratio in dB: the mean over images of 10 log10(1 / MSE_i), the peak being 1.

    MSE_i counts as `MIN_MSE` where it is less: an image that is reproduced exactly, as an all-black one may be, would
    otherwise make the mean infinite and decide every comparison alone.
    """
    return mean_psnr_db(per_image_mse(outputs, targets))


def mean_psnr_db(mse_of_images: np.ndarray) -> float:
    """Returns the `psnr_db` of images from their `per_image_mse`, [N]."""
    return float(np.mean(-10.0 * np.log10(np.maximum(mse_of_images, MIN_MSE))))


def ssim(outputs: np.ndarray, targets: np.ndarray, shape: tuple[int, int, int]) -> float:
    """Returns the structural similarity (Wang et al. 2004), as scikit-image computes it with a uniform window.

    The result is the mean over windows, channels and images.

    The window is square, `ssim_window` pixels wide; where no window fits (a side of one or two pixels), the result
    is NaN.

    Args:
        outputs: N images.
        targets: N images.
        shape: C, H, W of an image.

    Raises:
        ValueError: the numbers of outputs and targets differ, or there are none.
    """
    from skimage.metrics import structural_similarity  # takes a second, and few importers of this module need it

    window = ssim_window(shape)
    if window is None:
        return float("nan")
    outputs, targets = (np.asarray(images, dtype=np.float64).reshape(-1, *shape) for images in (outputs, targets))
    if len(outputs) != len(targets) or len(targets) == 0:
        raise ValueError(f"expected as many outputs as targets, not none; got {len(outputs)} and {len(targets)}")
    return float(
        np.mean(
            [
                structural_similarity(target, output, win_size=window, data_range=1.0, channel_axis=0)
                for target, output in zip(targets, outputs, strict=True)
            ]
        )
    )


def ssim_window(shape: tuple[int, int, int]) -> int | None:
    """Returns the width of SSIM's window in pixels; None where not even 3 pixels fit into the shorter side.

    The width is 7 where 7 pixels fit twice into the shorter side, else the largest odd width that does, but at least 3.
    It is 7 for MNIST and 3 for the 8 x 8 digits, on which 7 would leave four windows per image.
    """
    side = min(shape[1:])
    if side < 3:
        return None
    half = side // 2
    return min(7, max(3, half if half % 2 else half - 1))

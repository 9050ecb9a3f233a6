"""The linear baselines against closed forms, scikit-learn, float64 decompositions and numbers measured elsewhere."""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from aesweep.data.datasets import load_dataset
from aesweep.models.baselines import LinearMmseDenoiser, MeanImage, Pca
from aesweep.models.metrics import mse, psnr_db


def correlated(num_images: int, num_pixels: int, seed: int) -> np.ndarray:
    """Images in [0, 1] whose pixels hang together, with directions of clearly different variance."""
    random = np.random.default_rng(seed)
    basis = np.linalg.qr(random.normal(size=(num_pixels, num_pixels)))[0]
    codes = random.normal(size=(num_images, num_pixels)) * 0.8 ** np.arange(num_pixels)
    images = codes @ basis.T
    return (images - images.min()) / (images.max() - images.min())


def test_the_mean_images_error_is_the_total_variance_per_pixel():
    images = correlated(200, 12, 0)
    model = MeanImage.fit(images)
    assert np.allclose(model.mean, images.mean(axis=0), rtol=1e-14)
    assert mse(model.reconstruct(images), images) == pytest.approx(images.var(axis=0).mean(), rel=1e-12)
    assert model.reconstruct(images[:3]).shape == (3, 12)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("latent_dim", [1, 5, 12])
def test_pca_is_scikit_learns_full_decomposition(seed, latent_dim):
    training, test = correlated(300, 20, seed), correlated(50, 20, seed + 100)
    reference = PCA(n_components=latent_dim, svd_solver="full").fit(training)
    expected = reference.inverse_transform(reference.transform(test))
    assert np.allclose(Pca.fit(training, 12).reconstruct(test, latent_dim), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pca_is_the_projection_of_a_singular_value_decomposition(seed):
    images = correlated(100, 15, seed)
    mean = images.mean(axis=0)
    directions = np.linalg.svd(images - mean, full_matrices=False)[2][:6]
    expected = mean + (images - mean) @ directions.T @ directions
    assert np.allclose(Pca.fit(images, 6).reconstruct(images, 6), expected, rtol=0, atol=1e-9)


def test_pcas_training_error_is_the_sum_of_the_variances_left_out():
    images = correlated(500, 10, 3)
    variances = np.linalg.eigvalsh(np.cov(images.T, bias=True))  # ascending
    for latent_dim in range(1, 10):
        left_out = variances[: 10 - latent_dim].sum() / 10
        assert mse(Pca.fit(images, 9).reconstruct(images, latent_dim), images) == pytest.approx(left_out, rel=1e-9)


def test_single_precision_images_give_double_precision_components():
    images = correlated(100, 15, 0).astype(np.float32)
    reconstructed = Pca.fit(images, 4).reconstruct(images, 4)
    assert reconstructed.dtype == np.float64
    assert np.allclose(reconstructed, Pca.fit(images.astype(np.float64), 4).reconstruct(images, 4), atol=1e-12)


def test_pca_with_as_many_components_as_pixels_loses_nothing():
    images = correlated(100, 8, 0)
    model = Pca.fit(images, 30)
    for latent_dim in (8, 9, 30):
        assert np.allclose(model.reconstruct(images, latent_dim), images, rtol=0, atol=1e-12)


@pytest.mark.parametrize("latent_dim", [0, -1, 5])
def test_a_latent_dimension_that_was_not_fitted_is_refused(latent_dim):
    with pytest.raises(ValueError, match=f"expected a latent dimension of 1 to 4 \\(as fitted\\), got {latent_dim}"):
        Pca.fit(correlated(100, 8, 0), 4).reconstruct(np.zeros((1, 8)), latent_dim)


@pytest.mark.parametrize("noise_variance", [0.01, 0.25, 3.0])
def test_for_independent_pixels_the_linear_denoiser_shrinks_each_by_its_own_variance(noise_variance):
    random = np.random.default_rng(1)
    mean, variances = random.random(9), np.append(random.random(8), 0.0)  # one pixel is constant
    noisy = random.normal(size=(20, 9))
    expected = mean + variances / (variances + noise_variance) * (noisy - mean)
    denoised = LinearMmseDenoiser.of_moments(mean, np.diag(variances)).denoise(noisy, noise_variance, clamp=False)
    assert np.allclose(denoised, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_linear_denoiser_solves_the_normal_equations(seed):
    images, noise_variance = correlated(100, 12, seed), 0.05
    covariance = np.cov(images.T, bias=True)
    noisy = images + np.random.default_rng(seed).normal(0, noise_variance**0.5, images.shape)
    filtered = np.linalg.solve(covariance + noise_variance * np.eye(12), (noisy - images.mean(axis=0)).T).T @ covariance
    denoised = LinearMmseDenoiser.fit(images).denoise(noisy, noise_variance, clamp=False)
    assert np.allclose(denoised, images.mean(axis=0) + filtered, rtol=0, atol=1e-12)


def test_the_linear_denoiser_is_what_least_squares_finds_from_many_samples():
    """Regression of clean on noisy images, with an intercept, converges to the linear MMSE denoiser."""
    images, noise_variance = correlated(200_000, 6, 0), 0.02
    noisy = images + np.random.default_rng(9).normal(0, noise_variance**0.5, images.shape)
    design = np.column_stack([noisy, np.ones(len(noisy))])
    regressed = design @ np.linalg.lstsq(design, images, rcond=None)[0]
    denoised = LinearMmseDenoiser.fit(images).denoise(noisy, noise_variance, clamp=False)
    assert np.sqrt(mse(denoised, regressed)) < 2e-3
    # On these very samples no linear map beats least squares; ours must come within sampling error of it.
    assert mse(regressed, images) <= mse(denoised, images) <= mse(regressed, images) * (1 + 1e-3)


def test_denoised_images_are_clamped_unless_told_otherwise():
    images = correlated(100, 8, 0)
    noisy = images + np.random.default_rng(0).normal(0, 1, images.shape)
    denoiser = LinearMmseDenoiser.of_moments(images.mean(axis=0), np.eye(8))
    free = denoiser.denoise(noisy, 0.1, clamp=False)
    assert free.min() < 0 and free.max() > 1
    assert np.array_equal(denoiser.denoise(noisy, 0.1), free.clip(0, 1))


@pytest.mark.parametrize("noise_variance", [0.0, -1.0, float("nan")])
def test_a_noise_variance_that_is_none_is_refused(noise_variance):
    with pytest.raises(ValueError, match="expected a noise variance above 0"):
        LinearMmseDenoiser.of_moments(np.zeros(2), np.eye(2)).denoise(np.zeros((1, 2)), noise_variance)


@pytest.mark.parametrize(("num_images", "num_pixels"), [(12, 40), (40, 12)])
def test_fewer_images_than_pixels_give_the_same_denoiser_and_components_as_their_covariance(num_images, num_pixels):
    rng = np.random.default_rng(num_images)
    images = rng.random((num_images, num_pixels))
    noisy = images + 0.3 * rng.standard_normal(images.shape)
    covariance = np.cov(images, rowvar=False, bias=True)
    expected = LinearMmseDenoiser.of_moments(images.mean(axis=0), covariance).denoise(noisy, 0.09)
    np.testing.assert_allclose(LinearMmseDenoiser.fit(images).denoise(noisy, 0.09), expected, atol=1e-10)
    directions = np.linalg.eigh(covariance)[1][:, ::-1][:, :5]
    centred = images - images.mean(axis=0)
    expected = centred @ directions @ directions.T + images.mean(axis=0)
    np.testing.assert_allclose(Pca.fit(images, 5).reconstruct(images, 5), expected, atol=1e-10)


# Measured independently of this project: fitted on the 60,000 training images, evaluated on the 10,000 test images,
# float64. Mean image and PCA (by latent dimension): MSE. Denoising (by noise variance): PSNR in dB of the noisy input,
# of the same clamped, and of the clamped linear MMSE denoiser.
MEASURED = {
    "mnist": {
        "mean_image": 0.067470,
        "pca": {15: 0.027878, 30: 0.017687, 50: 0.011485, 100: 0.005616},
        "denoising": {
            0.04: (13.98, 16.75, 22.14),
            0.20: (6.99, 10.16, 18.15),
            0.25: (6.03, 9.38, 17.67),
            0.50: (3.01, 7.37, 16.23),
        },
    },
    "fashion_mnist": {
        "mean_image": 0.086641,
        "pca": {15: 0.020951, 30: 0.015616, 50: 0.011985, 100: 0.007659},
        "denoising": {
            0.04: (13.98, 15.96, 21.10),
            0.20: (6.99, 9.99, 18.09),
            0.25: (6.03, 9.30, 17.73),
            0.50: (3.01, 7.54, 16.68),
        },
    },
}


@pytest.fixture(scope="module", params=list(MEASURED))
def real(request) -> tuple[str, np.ndarray, np.ndarray]:
    """A data set's name with its training and test images, [N, 784] in [0, 1]."""
    folder = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[request.param]
    data_dir = os.environ.get("AESWEEP_DATA_DIR", "")
    if not data_dir or not (Path(data_dir) / folder / "raw").is_dir():
        pytest.skip(f"set AESWEEP_DATA_DIR to the folder that holds {folder}/raw (now: {data_dir or 'not set'})")
    data = load_dataset(request.param, data_dir=data_dir)
    return (request.param, *(images.reshape(len(images), -1) / 255.0 for images in (data.training, data.test)))


@pytest.mark.mnist
def test_mean_image_and_pca_reach_the_measured_errors(real):
    name, training, test = real
    assert mse(MeanImage.fit(training).reconstruct(test), test) == pytest.approx(MEASURED[name]["mean_image"], abs=1e-5)
    pca = Pca.fit(training, 100)
    for latent_dim, expected in MEASURED[name]["pca"].items():
        assert mse(pca.reconstruct(test, latent_dim), test) == pytest.approx(expected, abs=1e-5)


@pytest.mark.mnist
def test_linear_denoising_reaches_the_measured_ratios(real):
    name, training, test = real
    denoiser = LinearMmseDenoiser.fit(training)
    random = np.random.default_rng(0)
    for noise_variance, expected in MEASURED[name]["denoising"].items():
        noisy = test + random.normal(0, noise_variance**0.5, test.shape)
        found = (
            psnr_db(noisy, test),
            psnr_db(noisy.clip(0, 1), test),
            psnr_db(denoiser.denoise(noisy, noise_variance), test),
        )
        assert found == pytest.approx(expected, abs=0.02)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(20, 16), (5, 64), (2, 4)])
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_images_that_are_all_the_same_are_given_back_without_a_warning(shape, value):
    images = np.full(shape, value)
    pca = Pca.fit(images, 3)
    assert np.isfinite(pca.components).all()
    assert np.allclose(pca.reconstruct(images, min(3, *shape)), images, atol=1e-12)
    noisy = images + np.random.default_rng(0).normal(0, 0.3, shape)
    assert np.allclose(LinearMmseDenoiser.fit(images).denoise(noisy, 0.09), images, atol=1e-12)

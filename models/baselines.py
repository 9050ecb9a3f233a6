"""Baselines of autoencoders: the mean image and PCA; for denoisers, the noisy input and the best linear denoiser.

Images are floats [N, D] in [0, 1]: N images, D pixels, Z latent dimension. Everything is computed and returned in
float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA


@dataclass(frozen=True)
class MeanImage:
    """Predicts the training images' mean for every input; its error is the data's total variance per pixel."""

    mean: np.ndarray  # [D]

    @classmethod
    def fit(cls, images: np.ndarray) -> MeanImage:
        return cls(np.mean(images, axis=0, dtype=np.float64))

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Returns the mean, once for each image: [N, D], read-only."""
        return np.broadcast_to(self.mean, np.shape(images))


@dataclass(frozen=True)
class Pca:
    """Principal components: the best linear autoencoder in squared error (Eckart and Young 1936).

    Fitted once at the largest latent dimension; a smaller one uses the first of the same components.
    """

    mean: np.ndarray  # [D]
    components: np.ndarray  # [Z, D], orthonormal rows, by falling variance
    max_latent_dim: int

    @classmethod
    def fit(cls, images: np.ndarray, max_latent_dim: int) -> Pca:
        """Fits with scikit-learn, to floats [N, D].

        There are never more components than pixels or images: from Z = D on, PCA is the identity.

        Raises:
            ValueError: `max_latent_dim` is less than 1.
        """
        if max_latent_dim < 1:
            raise ValueError(f"expected a latent dimension of at least 1, got {max_latent_dim}")
        images = np.asarray(images, dtype=np.float64)
        # With fewer images than pixels, a covariance of all pixels would take far more memory than the images do.
        solver = "covariance_eigh" if len(images) >= images.shape[1] else "full"
        # Images that are all the same have no variance, by which scikit-learn divides for each component's share of it;
        # those shares are not used here.
        with np.errstate(divide="ignore", invalid="ignore"):
            pca = PCA(n_components=min(max_latent_dim, *images.shape), svd_solver=solver).fit(images)
        return cls(pca.mean_, pca.components_, max_latent_dim)

    def reconstruct(self, images: np.ndarray, latent_dim: int) -> np.ndarray:
        """Projects images [N, D] onto the first `latent_dim` components, without clamping to [0, 1].

        Raises:
            ValueError: `latent_dim` is not from 1 to `max_latent_dim`.
        """
        return self.encode(images, latent_dim) @ self.components[:latent_dim] + self.mean

    def encode(self, images: np.ndarray, latent_dim: int) -> np.ndarray:
        """Returns the codes [N, Z] of images [N, D]: their coordinates along the first `latent_dim` components.

        Raises:
            ValueError: `latent_dim` is not from 1 to `max_latent_dim`.
        """
        if not 1 <= latent_dim <= self.max_latent_dim:
            raise ValueError(f"expected a latent dimension of 1 to {self.max_latent_dim} (as fitted), got {latent_dim}")
        return np.subtract(images, self.mean, dtype=np.float64) @ self.components[:latent_dim].T


class LinearMmseDenoiser:
    """The linear (Wiener) denoiser with the least mean squared error for white Gaussian noise.

    With mean m and covariance S of the clean images and noise variance v, a noisy image y becomes
    m + S (S + v I)^-1 (y - m). S is decomposed once, so that every further variance costs two matrix products.

    Args:
        mean: mean of the clean images, [D].
        variances: variances of the clean images along each direction, [R]; they have none along other directions.
        directions: orthonormal columns, [D, R].
    """

    def __init__(self, mean: np.ndarray, variances: np.ndarray, directions: np.ndarray):
        self.mean = np.asarray(mean, dtype=np.float64)
        self._variances = np.maximum(variances, 0.0)  # rounding can leave those of constant pixels just below zero
        self._directions = directions

    @classmethod
    def of_moments(cls, mean: np.ndarray, covariance: np.ndarray) -> LinearMmseDenoiser:
        """Returns the denoiser for a mean [D] and a symmetric covariance [D, D] of clean images."""
        return cls(mean, *np.linalg.eigh(np.asarray(covariance, dtype=np.float64)))

    @classmethod
    def fit(cls, images: np.ndarray) -> LinearMmseDenoiser:
        """Returns the denoiser for the mean and the covariance (divided by N) of clean images [N, D]."""
        images = np.asarray(images, dtype=np.float64)
        mean = images.mean(axis=0)
        centred = images - mean
        if len(images) < images.shape[1]:
            # As for PCA, a covariance of all pixels would take far more memory than the images do.
            _, singular_values, directions = np.linalg.svd(centred, full_matrices=False)
            return cls(mean, singular_values**2 / len(images), directions.T)
        return cls.of_moments(mean, centred.T @ centred / len(images))

    def denoise(self, noisy: np.ndarray, noise_variance: float, *, clamp: bool = True) -> np.ndarray:
        """Denoises [N, D] images.

        Args:
            noisy: clean images plus noise, not clamped.
            noise_variance: variance of that noise, above 0.
            clamp: whether to clip the result to [0, 1], the range of clean images, which never increases the error.

        Raises:
            ValueError: `noise_variance` is not above 0.
        """
        if not noise_variance > 0:
            raise ValueError(f"expected a noise variance above 0, got {noise_variance}")
        gains = self._variances / (self._variances + noise_variance)
        codes = np.subtract(noisy, self.mean, dtype=np.float64) @ self._directions
        denoised = (codes * gains) @ self._directions.T + self.mean
        return np.clip(denoised, 0.0, 1.0, out=denoised) if clamp else denoised

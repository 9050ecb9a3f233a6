"""Classifiers on codes against their definitions, and a map that keeps neighbours."""

import numpy as np
import pytest

from aesweep.models.baselines import Pca
from aesweep.models.codes import code_map, neighbour_accuracy, probe_accuracy


def clusters(num: int, dims: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((3, dims)) * 5
    labels = generator.integers(0, 3, num)
    return centres[labels] + spread * generator.standard_normal((num, dims)), labels


@pytest.mark.parametrize("accuracy", [probe_accuracy, neighbour_accuracy])
def test_separate_classes_are_told_and_noise_is_not(accuracy):
    assert accuracy(*clusters(300, 4, 0.1), *clusters(200, 4, 0.1, seed=1)) == 1
    generator = np.random.default_rng(2)
    noise = [generator.standard_normal((n, 4)) for n in (300, 2000)]
    labels = [generator.integers(0, 3, n) for n in (300, 2000)]
    assert accuracy(noise[0], labels[0], noise[1], labels[1]) == pytest.approx(1 / 3, abs=0.06)


def test_neighbours_vote_as_by_hand():
    codes, labels = clusters(60, 3, 3.0)
    judged, truth = clusters(40, 3, 3.0, seed=1)
    distances = np.square(judged[:, None] - codes).sum(-1)
    nearest = labels[np.argsort(distances, axis=1, kind="stable")[:, :5]]
    votes = [np.bincount(found, minlength=3).argmax() for found in nearest]  # ties go to the smallest label
    assert neighbour_accuracy(codes, labels, judged, truth) == np.mean(votes == truth)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_probe_does_not_depend_on_the_scale_of_codes(scale):
    codes, labels = clusters(200, 5, 4.0)
    judged, truth = clusters(200, 5, 4.0, seed=1)
    expected = probe_accuracy(codes, labels, judged, truth)
    assert 0.5 < expected < 1
    assert probe_accuracy(scale * codes, labels, scale * judged, truth) == pytest.approx(expected, abs=0.011)


def test_one_class_and_few_codes_are_no_error():
    codes = np.zeros((3, 2))
    assert probe_accuracy(codes, np.array([4, 4, 4]), codes, np.array([4, 4, 1])) == pytest.approx(2 / 3)
    assert neighbour_accuracy(codes, np.array([4, 4, 4]), codes, np.array([4, 4, 1])) == pytest.approx(2 / 3)
    assert code_map(np.zeros((1, 7))).shape == (1, 2)


@pytest.mark.parametrize("dims", [1, 2, 3, 10])
def test_a_map_lies_in_the_unit_square_is_the_same_every_time_and_keeps_neighbours(dims):
    codes, labels = clusters(120, dims, 0.1)
    places = code_map(codes)
    assert places.shape == (120, 2) and places.dtype == np.float32
    assert places.min() == 0 and places.max() == 1
    assert np.array_equal(places, code_map(codes))
    assert neighbour_accuracy(places[:60], labels[:60], places[60:], labels[60:]) > 0.95


def test_codes_of_pca_are_those_from_which_it_reconstructs():
    images = np.random.default_rng(0).random((30, 12))
    pca = Pca.fit(images, 5)
    codes = pca.encode(images, 3)
    assert codes.shape == (30, 3)
    np.testing.assert_allclose(codes @ pca.components[:3] + pca.mean, pca.reconstruct(images, 3))
    with pytest.raises(ValueError, match="expected a latent dimension of 1 to 5"):
        pca.encode(images, 6)

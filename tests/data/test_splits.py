"""Splits and subsets: disjoint, covering, nested, the same everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aesweep.data.splits import split_training, subset

seeds = st.integers(0, 2**32 - 1)


@given(num_images=st.integers(1, 500), fraction=st.floats(0, 0.99), seed=seeds)
def test_training_and_validation_are_disjoint_and_cover_all_images(num_images, fraction, seed):
    num_validation = int(num_images * fraction)
    split = split_training(num_images, num_validation, seed)
    assert len(split.validation) == num_validation
    assert split.training.dtype == split.validation.dtype == np.int64
    assert sorted([*split.training, *split.validation]) == list(range(num_images))
    assert (np.diff(split.training) > 0).all() and (np.diff(split.validation) > 0).all()


@given(sizes=st.tuples(st.integers(0, 99), st.integers(0, 99)), seed=seeds)
def test_a_smaller_validation_set_lies_within_a_larger_one(sizes, seed):
    small, large = (split_training(100, size, seed).validation for size in sorted(sizes))
    assert set(small) <= set(large)


@given(sizes=st.tuples(st.integers(1, 200), st.integers(1, 200)), seed=seeds)
def test_a_smaller_subset_is_the_beginning_of_a_larger_one(sizes, seed):
    indices = np.arange(1000, 1200)
    small, large = (subset(indices, size, seed) for size in sorted(sizes))
    assert len(small) == min(sizes)
    assert np.array_equal(small, large[: len(small)])
    assert np.array_equal(large, subset(indices, None, seed)[: len(large)])


@given(num_indices=st.integers(1, 200), seed=seeds)
def test_a_subset_of_none_holds_each_index_once(num_indices, seed):
    indices = np.arange(num_indices) * 7
    assert np.array_equal(np.sort(subset(indices, None, seed)), indices)


def test_seeds_draw_different_images():
    assert len({tuple(split_training(1000, 20, seed).validation) for seed in range(50)}) == 50
    assert len({tuple(subset(np.arange(1000), 20, seed)) for seed in range(50)}) == 50


def test_the_same_seed_draws_the_same_images():
    again = [split_training(60_000, 6000, 7) for _ in range(2)]
    assert np.array_equal(again[0].validation, again[1].validation)
    assert np.array_equal(subset(again[0].training, 10, 7), subset(again[1].training, 10, 7))


def test_split_and_subset_of_one_seed_are_unrelated():
    """Otherwise a training subset could favour the images that a smaller validation set would have taken."""
    validation = split_training(10_000, 1000, 3).validation
    common = np.intersect1d(validation, subset(np.arange(10_000), 1000, 3))
    assert 50 < len(common) < 150  # 100 expected by chance, standard deviation 9


def test_every_image_is_as_likely_to_validate():
    counts = np.zeros(50)
    for seed in range(2000):
        counts[split_training(50, 10, seed).validation] += 1
    # Each count is binomial: mean 400, standard deviation 18.
    assert np.abs(counts - 400).max() < 5 * 18


@pytest.mark.parametrize("num_validation", [-1, 10, 11])
def test_a_split_that_leaves_nothing_to_train_on_is_refused(num_validation):
    with pytest.raises(
        ValueError, match=f"expected 0 to 9 validation images of 10 training images, got {num_validation}"
    ):
        split_training(10, num_validation, 0)


@pytest.mark.parametrize("size", [0, -1, 11])
def test_a_subset_larger_than_the_whole_or_empty_is_refused(size):
    with pytest.raises(ValueError, match=f"expected a subset of 1 to 10 images, got {size}"):
        subset(np.arange(10), size, 0)

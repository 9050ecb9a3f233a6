"""Streams depend on seed, purpose and epoch, and on nothing else."""

import itertools

import pytest
import torch

from aesweep.training.engine.randomness import PURPOSES, epoch_order, stream


def test_a_stream_is_the_same_whatever_was_drawn_before():
    first = torch.rand(5, generator=stream(7, "noise", 3))
    torch.rand(1000)
    stream(8, "noise", 3)
    assert torch.equal(torch.rand(5, generator=stream(7, "noise", 3)), first)


def test_streams_of_other_seeds_purposes_and_epochs_differ():
    drawn = {
        tuple(torch.rand(3, generator=stream(seed, purpose, epoch)).tolist())
        for seed, purpose, epoch in itertools.product(range(20), PURPOSES, range(30))
    }
    assert len(drawn) == 20 * len(PURPOSES) * 30


def test_streams_of_neighbouring_seeds_and_epochs_are_uncorrelated():
    draws = torch.stack(
        [torch.randn(20_000, generator=stream(seed, "noise", epoch)) for seed in range(4) for epoch in range(4)]
    )
    off_diagonal = torch.corrcoef(draws) - torch.eye(16)
    # Each of 120 coefficients has a standard deviation of 1 / sqrt(20,000); 4.5 of them is past chance.
    assert off_diagonal.abs().max() < 4.5 / 20_000**0.5


def test_drawing_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    epoch_order(1, 1, 100)
    torch.rand(5, generator=stream(1, "dropout", 1))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("num_images", [1, 2, 97])
def test_an_order_visits_every_image_once(num_images):
    order = epoch_order(5, 1, num_images)
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(num_images))


def test_an_order_changes_with_the_epoch():
    assert not torch.equal(epoch_order(5, 1, 97), epoch_order(5, 2, 97))


def test_an_unknown_purpose_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="expected one of initial, order, noise, dropout, code; got 'batches'"):
        stream(0, "batches", 0)

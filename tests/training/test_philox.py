"""Philox by its published answers, and what is drawn from it by its distribution."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from aesweep.training.engine.gpu.philox import add_noise, draw_masks, normal, philox, uniform
from aesweep.training.engine.randomness import stream_key

STEP = torch.tensor([5])

# The known answers that come with the authors' Random123: key and counter to the four numbers.
KNOWN = [
    ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 2, (2**32 - 1,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0xA4093822, 0x299F31D0),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("key", "counter", "expected"), KNOWN)
def test_numbers_are_those_that_were_published(key, counter, expected):
    both = key[0] | key[1] << 32
    keys = torch.tensor([both - (1 << 64) if both >> 63 else both])
    got = philox(keys, tuple(torch.tensor([number]) for number in counter))
    assert tuple(int(number) for number in got) == expected


def keys_of(*seeds: int) -> torch.Tensor:
    return torch.tensor([stream_key(seed, "noise", 1) for seed in seeds])


@pytest.mark.parametrize("draw", [uniform, normal])
def test_a_members_numbers_do_not_depend_on_who_else_draws_or_how_many(draw):
    together = draw(keys_of(1, 2, 3), STEP, 0, 1003)
    alone = draw(keys_of(2), STEP, 0, 1003)
    assert torch.equal(together[1:2], alone)
    assert torch.equal(draw(keys_of(2), STEP, 0, 10), alone[:, :10])


def test_members_steps_and_layers_have_numbers_of_their_own():
    drawn = [
        uniform(keys_of(seed), torch.tensor([step]), layer, 8)
        for seed in range(5) for step in range(5) for layer in range(5)
    ]  # fmt: skip
    assert len({tuple(numbers.flatten().tolist()) for numbers in drawn}) == 125


def test_numbers_have_their_distributions():
    for draw, distribution in ((uniform, stats.uniform), (normal, stats.norm)):
        numbers = draw(keys_of(1, 2), STEP, 0, 50_000)
        assert stats.kstest(numbers[0].numpy(), distribution.cdf).pvalue > 1e-3
        # Correlation of 50,000 independent pairs: a standard deviation of 0.0045.
        assert abs(float(torch.corrcoef(numbers)[0, 1])) < 0.02
        assert abs(float(torch.corrcoef(torch.stack([numbers[0, 1:], numbers[0, :-1]]))[0, 1])) < 0.02


def test_noise_and_masks_have_the_strength_of_each_member():
    clean = torch.rand(3, 20_000, generator=torch.Generator().manual_seed(0))
    noisy = torch.empty_like(clean)
    add_noise(noisy, clean, keys_of(1, 2, 3), torch.tensor([0.5, 0.0, 0.1]), STEP)
    assert torch.equal(noisy[1], clean[1])
    assert (noisy - clean).std(1).tolist() == pytest.approx([0.5, 0.0, 0.1], rel=0.03)
    masks = torch.empty_like(clean)
    draw_masks(masks, keys_of(1, 2, 3), torch.tensor([0.5, 1.0, 0.8]), STEP, 2)
    assert torch.equal(masks[1], torch.ones(20_000))
    assert set(masks[0].tolist()) == {0.0, 2.0} and set(masks[2].tolist()) == {0.0, 1.25}
    assert (masks > 0).float().mean(1).tolist() == pytest.approx([0.5, 1.0, 0.8], abs=0.02)

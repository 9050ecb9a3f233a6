"""Counter-based random numbers for members in lock-step: each number depends on its key and position alone.

A generator per member has to be called member by member, which on a GPU is a kernel for each. Here the numbers of all
members come from one call: Philox4x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011). Its key
is derived from a member's seed, purpose and epoch; its counter is the block of four numbers, the step and the layer. So
a member's numbers depend neither on the other members of its pack nor on the device. The module is the reference of
`aesweep.training.engine.gpu.kernels`.

Letters: K members, n numbers per member.
"""

from __future__ import annotations

import torch
from torch import Tensor

NUM_ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF


def philox(keys: Tensor, counters: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Returns four random 32-bit integers for each key and counter, as int64 from 0 to 2^32 - 1.

    Args:
        keys: 64-bit keys, int64.
        counters: the counter's four words, int64 from 0 to 2^32 - 1; they broadcast with the keys.
    """
    # Products of two 32-bit numbers wrap around in int64 and keep all 64 bits, the highest as a sign.
    key0, key1 = keys & _LOW, (keys >> 32) & _LOW
    c0, c1, c2, c3 = counters
    for _ in range(NUM_ROUNDS):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            ((product1 >> 32) & _LOW) ^ c1 ^ key0,
            product1 & _LOW,
            ((product0 >> 32) & _LOW) ^ c3 ^ key1,
            product0 & _LOW,
        )
        key0, key1 = (key0 + _KEY_STEPS[0]) & _LOW, (key1 + _KEY_STEPS[1]) & _LOW
    return c0, c1, c2, c3


def _blocks(keys: Tensor, step: Tensor, layer: int, num: int) -> list[Tensor]:
    """Returns random 24-bit integers for `num` numbers of each key: four tensors int64 [K, num / 4, rounded up]."""
    blocks = torch.arange(-(-num // 4), device=keys.device).unsqueeze(0)
    layers = torch.full((1, 1), layer, device=keys.device)
    found = philox(keys.unsqueeze(1), (blocks, step.view(1, 1), layers, torch.zeros_like(layers)))
    return [number >> 8 for number in found]


def uniform(keys: Tensor, step: Tensor, layer: int, num: int) -> Tensor:
    """Returns uniform random numbers in [0, 1), multiples of 2^-24, float32 [K, n].

    Args:
        keys: `aesweep.training.engine.randomness.stream_key` of each member, int64 [K].
        step: step within the epoch, from 0; int64, one element, on the keys' device.
        layer: index that tells a step's draws from the same keys apart.
        num: how many numbers to draw for each member, n.
    """
    parts = [part.float() * 2**-24 for part in _blocks(keys, step, layer, num)]
    return torch.stack(parts, -1).flatten(1)[:, :num]


def normal(keys: Tensor, step: Tensor, layer: int, num: int) -> Tensor:
    """Returns standard normal numbers by Box and Muller (1958), float32 [K, n]; arguments as `uniform`'s."""
    # Shifted up by half a unit, so that the logarithm of zero is never taken.
    u = [part.float() * 2**-24 + 2**-25 for part in _blocks(keys, step, layer, num)]
    radii = [torch.sqrt(-2 * torch.log(u[0])), torch.sqrt(-2 * torch.log(u[2]))]
    angles = [2 * torch.pi * u[1], 2 * torch.pi * u[3]]
    parts = [part for r, a in zip(radii, angles, strict=True) for part in (r * torch.cos(a), r * torch.sin(a))]
    return torch.stack(parts, -1).flatten(1)[:, :num]


def add_noise(out: Tensor, clean: Tensor, keys: Tensor, deviations: Tensor, step: Tensor) -> None:
    """Writes clean + deviation * normal numbers.

    Args:
        out: noisy images, [K, n], overwritten.
        clean: clean images, [K, n].
        keys: keys of the members' noise streams, see `uniform`.
        deviations: standard deviation of each member's noise, [K], of the type of `out`.
        step: step within the epoch, see `uniform`.
    """
    torch.add(clean, normal(keys, step, 0, out.shape[1]).to(out.dtype) * deviations.unsqueeze(1), out=out)


def draw_masks(out: Tensor, keys: Tensor, kept: Tensor, step: Tensor, layer: int) -> None:
    """Writes 1 / kept with probability `kept`, else 0.

    Args:
        out: masks, [K, n], overwritten.
        keys: keys of the members' dropout streams, see `uniform`.
        kept: each member's probability to keep a unit, [K], of the type of `out`.
        step: step within the epoch, see `uniform`.
        layer: index of the mask's layer.
    """
    kept = kept.unsqueeze(1)
    torch.div((uniform(keys, step, layer, out.shape[1]).to(out.dtype) < kept).to(out.dtype), kept, out=out)

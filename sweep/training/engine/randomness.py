"""The random streams of a member, each of which depends on its seed, a purpose and an epoch, and on nothing else.

Within an epoch, numbers are drawn from a stream step by step, in order. So a member starts from the same weights and
sees the same batches, noise, dropout and drawn codes whichever other members share or leave its pack, and wherever it
is resumed at an epoch's end.

Initial weights and orders of images come from generators on the CPU, so they are the same on every device. Noise and
dropout on a CPU do as well; members in lock-step on a GPU draw theirs from counters
(`aesweep.training.engine.gpu.philox`), which gives other numbers.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

PURPOSES = ("initial", "order", "noise", "dropout", "code")


def stream(seed: int, purpose: str, epoch: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Returns a new generator at the start of a stream.

    Args:
        seed: the member's seed.
        purpose: one of `PURPOSES`; streams of different purposes are independent.
        epoch: 0 before training, 1 for the first epoch.
        device: the generator's device.
    """
    # The CPU's Mersenne twister keeps only the low 32 bits of the key.
    return torch.Generator(device=device).manual_seed(stream_key(seed, purpose, epoch))


def stream_key(seed: int, purpose: str, epoch: int) -> int:
    """Returns the key that seeds a stream: 56 bits, which fit a signed 64-bit integer; arguments as `stream`'s."""
    if purpose not in PURPOSES:
        raise ValueError(f"purpose: expected one of {', '.join(PURPOSES)}; got {purpose!r}")
    digest = hashlib.blake2b(f"{seed}/{purpose}/{epoch}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")


def epoch_order(seed: int, epoch: int, num_images: int) -> Tensor:
    """Returns the order in which an epoch visits the images: a permutation, int64 [N], on the CPU."""
    return torch.randperm(num_images, generator=stream(seed, "order", epoch))

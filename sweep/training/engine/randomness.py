"""The random streams of a member: each a function of its seed, a purpose and an epoch, and of nothing else.

Within an epoch a stream is drawn from step by step, in order. So a member starts from the same weights and sees the
same batches, noise and dropout whoever shares its pack, whoever leaves, and wherever it is resumed at an epoch's end.

Initial weights and orders of images come from generators on the CPU, so they are the same on every device. So do noise
and dropout on a CPU; members in lock-step on a GPU draw theirs from counters (`aesweep.training.engine.gpu.philox`),
which gives other numbers.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

PURPOSES = ("initial", "order", "noise", "dropout")


def stream(seed: int, purpose: str, epoch: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator.

    Args:
        seed: the member's.
        purpose: one of `PURPOSES`. Streams of different purposes are independent.
        epoch: 0 before training, 1 for the first epoch.
        device: where it draws.
    """
    # (The CPU's Mersenne twister keeps the low 32 bits.)
    return torch.Generator(device=device).manual_seed(stream_key(seed, purpose, epoch))


def stream_key(seed: int, purpose: str, epoch: int) -> int:
    """What a stream follows from: 56 bits, which fit a signed 64-bit integer."""
    if purpose not in PURPOSES:
        raise ValueError(f"purpose: expected one of {', '.join(PURPOSES)}; got {purpose!r}")
    digest = hashlib.blake2b(f"{seed}/{purpose}/{epoch}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")


def epoch_order(seed: int, epoch: int, num_images: int) -> Tensor:
    """The order in which an epoch visits the images: a permutation, int64 [N], on the CPU."""
    return torch.randperm(num_images, generator=stream(seed, "order", epoch))

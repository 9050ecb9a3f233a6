"""Settings of torch in this process: threads, denormal numbers, and the precision of float32 matrix products."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

# A study's `precision`, mapped to torch's float32 matmul precision. Weights, activations and Adam stay float32 in all
# three: only the factors of matrix products are rounded, and only on hardware that gains by it. "high" and "medium" are
# TF32 on NVIDIA GPUs from Ampere on. On a CPU without AMX neither rounds anything nor is any faster: there,
# `aesweep.training.engine.products` implements bf16, where `has_bfloat16_products` is true.
PRECISIONS = {"fp32": "highest", "tf32": "high", "bf16": "medium"}


def configure_torch(num_threads: int = 1, precision: str = "fp32") -> None:
    """Configures torch in this process for training. Call it in the thread that trains: one setting is per thread.

    Args:
        num_threads: number of CPU threads for one operation.
        precision: one of `PRECISIONS`.
    """
    torch.set_num_threads(num_threads)
    # Weights that shrink towards zero become denormal numbers, which halve the speed of training and change no
    # significant digit of its results.
    torch.set_flush_denormal(True)
    torch.set_float32_matmul_precision(_matmul_precision(precision))


def has_bfloat16_products(device: str = "cpu") -> bool:
    """Returns whether training with precision "bf16" multiplies bfloat16 matrices on a device (`products.py`).

    It does on CPUs with instructions for it, AVX512_BF16 or AMX. Elsewhere "bf16" is torch's float32 matmul precision
    "medium" and nothing more: TF32 on NVIDIA GPUs, and unrounded float32 on other CPUs, which would be slower in
    bfloat16.
    """
    if torch.device(device).type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


@contextlib.contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Sets torch's float32 matmul precision to that of a study's precision inside the block."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(_matmul_precision(precision))
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _matmul_precision(precision: str) -> str:
    if precision not in PRECISIONS:
        raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}; got {precision!r}")
    return PRECISIONS[precision]

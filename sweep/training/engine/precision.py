"""Settings of torch in this process: threads, denormal numbers, and the precision of float32 matrix products."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

# A study's `precision`, mapped to torch's float32 matmul precision. Weights, activations and Adam stay float32 in all
# three: only the factors of matrix products and convolutions are rounded, and only on hardware that gains by it. "high"
# and "medium" are TF32 on NVIDIA GPUs from Ampere on, and nothing on a CPU without AMX. So neither is bfloat16, which
# `aesweep.training.engine.products` implements itself, where `has_bfloat16_products` is true.
PRECISIONS = {"fp32": "highest", "tf32": "high", "bf16": "medium"}
# Major number of the compute capability from which on NVIDIA's GPUs multiply bfloat16 matrices.
LEAST_CAPABILITY = 8


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
    _set(_checked(precision))


def has_bfloat16_products(device: str = "cpu") -> bool:
    """Returns whether training with precision "bf16" multiplies bfloat16 matrices on a device (`products.py`).

    It does on GPUs that can, and on CPUs with instructions for it, AVX512_BF16 or AMX. On other CPUs, which would be
    slower in bfloat16, "bf16" is unrounded float32.

    Raises:
        ValueError: the device is a GPU that cannot multiply bfloat16 matrices, where "bf16" would be something else.
    """
    if torch.device(device).type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        if major < LEAST_CAPABILITY:
            raise ValueError(
                f"precision: bf16 needs a GPU of compute capability {LEAST_CAPABILITY}.0 or more (A100 and later); "
                f"{torch.cuda.get_device_name(device)} has {major}.{minor}: set precision: fp32"
            )
        return True
    if torch.device(device).type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


@contextlib.contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Sets torch's precision of float32 products and convolutions to a study's precision inside the block."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    products = torch.backends.cuda.matmul
    in_bfloat16 = products.allow_bf16_reduced_precision_reduction
    _set(_checked(precision))
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
        products.allow_bf16_reduced_precision_reduction = in_bfloat16


@contextlib.contextmanager
def inference() -> Iterator[None]:
    """Makes a trained model give the same numbers in every process: one thread, unrounded products, no gradients.

    How many threads torch has by itself depends on what else the process has loaded before, and products that several
    threads share are summed up in another order.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode(), matmul_precision("fp32"):
            yield
    finally:
        torch.set_num_threads(before)


def _set(precision: str) -> None:
    torch.set_float32_matmul_precision(PRECISIONS[precision])
    # torch rounds the factors of convolutions to TF32 unless it is told not to, and not those of products.
    torch.backends.cudnn.allow_tf32 = precision != "fp32"
    # Products of bfloat16 factors that a GPU divides among its cores are summed up in float32, as on a CPU.
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def _checked(precision: str) -> str:
    if precision not in PRECISIONS:
        raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}; got {precision!r}")
    return precision

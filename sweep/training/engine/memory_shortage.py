"""Recognition of a GPU's short memory in the errors that libraries raise for it, and release of what errors hold.

PyTorch's own allocator raises `torch.OutOfMemoryError`. A CUDA graph that cannot be instantiated or launched, a library
that finds no memory for its handle, and a kernel that cannot be loaded raise plain errors with a text.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator

import torch

# cudaErrorMemoryAllocation as PyTorch and Triton say it; and the status of cuBLAS, cuBLASLt and cuDNN.
_TEXTS = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


@contextlib.contextmanager
def shortage_as_out_of_memory() -> Iterator[None]:
    """Raises any error of the block that comes from short memory as `torch.OutOfMemoryError`.

    That includes an error that was raised while one from short memory was handled, as where a capture is ended that has
    failed.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        for cause in _chain(error):
            if isinstance(cause, torch.OutOfMemoryError) or any(text in str(cause) for text in _TEXTS):
                raise torch.OutOfMemoryError(str(cause)) from error
        raise


def release_frames(error: BaseException) -> None:
    """Releases the local variables that an error's traceback keeps alive, among them tensors, but no line of it.

    Those of the function that handles the error stay, because it is still running.
    """
    for cause in _chain(error):
        traceback.clear_frames(cause.__traceback__)


def _chain(error: BaseException) -> list[BaseException]:
    """Returns an error and those that led to it."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found

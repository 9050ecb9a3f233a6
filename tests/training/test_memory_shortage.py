"""Which errors tell of short memory, and that an error keeps no memory."""

from __future__ import annotations

import weakref

import pytest
import torch

from aesweep.training.engine.memory_shortage import release_frames, shortage_as_out_of_memory


def raise_while_handling(cause: Exception, error: Exception) -> None:
    try:
        raise cause
    except Exception:
        raise error  # noqa: B904  as where a block's end fails that an error is leaving


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "Triton Error [CUDA]: out of memory",
    ],
)
def test_errors_of_libraries_that_lack_memory_become_the_one_that_packs_handle(text):
    with pytest.raises(torch.OutOfMemoryError) as caught, shortage_as_out_of_memory():
        raise RuntimeError(text)
    assert str(caught.value) == text and isinstance(caught.value.__cause__, RuntimeError)


def test_an_error_that_hides_one_of_short_memory_becomes_that():
    with pytest.raises(torch.OutOfMemoryError, match=r"Tried to allocate 2\.00 GiB"), shortage_as_out_of_memory():
        raise_while_handling(
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
            RuntimeError("CUDA error: operation failed due to a previous error during capture"),
        )


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: an illegal memory access"), ValueError("out of memory")])
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)) as caught, shortage_as_out_of_memory():
        raise error
    assert caught.value is error


def test_an_error_whose_frames_are_released_keeps_no_tensor_but_its_traceback():
    watched = []

    def fail():
        tensor = torch.zeros(3)
        watched.append(weakref.ref(tensor))
        raise RuntimeError("broken")

    try:
        raise_while_handling_of(fail)
    except LookupError as error:
        kept = error
    assert watched[0]() is not None
    release_frames(kept)
    assert watched[0]() is None and kept.__traceback__ is not None


def raise_while_handling_of(fail) -> None:
    try:
        fail()
    except RuntimeError as error:
        raise LookupError("later") from error

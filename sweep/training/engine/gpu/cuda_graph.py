"""Capture of a training step, which is repeated thousands of times, as a CUDA graph that is launched as a whole.

A step of a small model is some fifty operations, each of which takes longer to launch than to run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

# Captures a step's operations, without running them, and returns a function that replays them.
Capture = Callable[[Callable[[], None]], Callable[[], None]]


class RepeatedStep:
    """Runs a step repeatedly: directly at the first call, and by replaying a capture of it from the second call on.

    The first, direct call allocates buffers, compiles kernels and loads libraries, so that the capture need not.

    Args:
        capture: how a step is captured; None to call the step directly each time.
    """

    def __init__(self, capture: Capture | None):
        self._capture = capture
        self._replay: Callable[[], None] | None = None
        self._called = False

    def __call__(self, step: Callable[[], None]) -> None:
        """Runs the step.

        Args:
            step: performs the same operations on the same memory at every call, and reads no result on the host. What
                differs from call to call it looks up by a counter in that memory, which must outlive this object.
        """
        if self._called and self._capture is not None and self._replay is None:
            self._replay = self._capture(step)
        self._called = True
        (self._replay or step)()


def capture_as_cuda_graph(step: Callable[[], None]) -> Callable[[], None]:
    """Captures a step's operations on a GPU as a CUDA graph, and returns the function that replays it.

    Other threads of the process may use the GPU during the capture.
    """
    graph = torch.cuda.CUDAGraph()
    stream = _capture_stream(torch.cuda.current_device())
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        step()
    return graph.replay


@functools.cache
def _capture_stream(device: int) -> torch.cuda.Stream:
    """Returns one stream for all captures, because torch keeps a cuBLAS workspace for each stream that it has seen."""
    return torch.cuda.Stream(device)

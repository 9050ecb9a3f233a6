"""A step that is repeated thousands of times. On a GPU it becomes a CUDA graph, which is launched as a whole.

A step of a small model is some fifty operations, each of which takes longer to launch than to run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

# Makes of a step what repeats its operations, and does not run it.
Capture = Callable[[Callable[[], None]], Callable[[], None]]


class RepeatedStep:
    """Calls a step the first time: buffers are made, kernels compiled, libraries opened. Then captures and replays it.

    Args:
        capture: how; None where the step is to be called each time.
    """

    def __init__(self, capture: Capture | None):
        self._capture = capture
        self._replay: Callable[[], None] | None = None
        self._called = False

    def __call__(self, step: Callable[[], None]) -> None:
        """Runs the step.

        Args:
            step: the same operations on the same memory at every call, whose numbers nobody asks for in between: what
                differs from call to call it finds by a counter in that memory, which outlives this object.
        """
        if self._called and self._capture is not None and self._replay is None:
            self._replay = self._capture(step)
        self._called = True
        (self._replay or step)()


def capture_as_cuda_graph(step: Callable[[], None]) -> Callable[[], None]:
    """A step's operations on a GPU as a CUDA graph; other threads of the process may use the GPU meanwhile."""
    graph = torch.cuda.CUDAGraph()
    stream = _capture_stream(torch.cuda.current_device())
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        step()
    return graph.replay


@functools.cache
def _capture_stream(device: int) -> torch.cuda.Stream:
    """One for all captures: torch keeps a workspace of cuBLAS for each stream that it has seen."""
    return torch.cuda.Stream(device)

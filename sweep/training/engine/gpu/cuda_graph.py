"""Capture of a training step, which is repeated thousands of times, as a CUDA graph that is launched as a whole.

A step of a small model is some fifty operations, each of which takes longer to launch than to run. (Nothing here has
run on a GPU yet.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from aesweep.training.engine.memory_shortage import shortage_as_out_of_memory

# Captures a step's operations, without running them, and returns a function that replays them.
Capture = Callable[[Callable[[], None]], Callable[[], None]]


class RepeatedStep:
    """Runs a step repeatedly: directly at the first call, and by replaying a capture of it from the second call on.

    The first, direct call allocates buffers, compiles kernels and loads libraries, so that the capture need not.

    Args:
        capture: how a step is captured; None to call the step directly each time.
        is_needed: whether the step cannot do without. A capture needs memory of its own; where that runs out, a step
            that can do without is called directly each time, and for another one the error is raised.
    """

    def __init__(self, capture: Capture | None, is_needed: bool = True):
        self._capture = capture
        self._is_needed = is_needed
        self._replay: Callable[[], None] | None = None
        self._called = False

    def __call__(self, step: Callable[[], None]) -> None:
        """Runs the step.

        Args:
            step: performs the same operations on the same memory at every call, and reads no result on the host. What
                differs from call to call it looks up by a counter in that memory, which must outlive this object.

        Raises:
            torch.OutOfMemoryError: the step, or its capture, has not enough memory.
        """
        if self._called and self._capture is not None and self._replay is None:
            self._replay = self._captured(step)
        self._called = True
        (self._replay or step)()

    def _captured(self, step: Callable[[], None]) -> Callable[[], None] | None:
        try:
            with shortage_as_out_of_memory():
                return self._capture(step)
        except torch.OutOfMemoryError:
            if self._is_needed:
                raise
            self._capture = None
            return None


@dataclasses.dataclass(frozen=True)
class _Lane:
    """What all captures share that are replayed on one stream.

    Attributes:
        stream: the stream of these captures; nothing else runs on it.
        anchor: a graph that is never replayed and never let go of; its pool of memory is that of all the captures.
    """

    stream: torch.cuda.Stream
    anchor: torch.cuda.CUDAGraph


# Lanes by device and by the stream that is current at a capture; and those that are not used for captures any more.
_lanes: dict[tuple[int, int], _Lane] = {}
_closed: list[_Lane] = []


def capture_as_cuda_graph(step: Callable[[], None]) -> Callable[[], None]:
    """Captures a step's operations on a GPU as a CUDA graph, and returns the function that replays it.

    A graph keeps the addresses of all memory that the capture used, and uses it at every replay. What a capture
    allocates lies in a pool of its own, which lives as long as a graph that was captured with it (PyTorch, CUDA
    semantics, "Graph memory management"). cuBLAS's workspace is an exception: torch keeps one for each stream, in the
    pool of whichever capture first needed it, so that all graphs captured on a stream use the same one; and from torch
    2.12 or so on it is freed when any of them ends (pytorch/pytorch issue 193402). With a pool for each graph, the
    others then replay on memory that is gone.

    Here all captures that are replayed on one stream share one pool, and a graph that is never let go of, the anchor,
    keeps it. So no memory of any graph is ever given back to the device. It may be given to a later capture, and then
    two graphs write to it. PyTorch allows this for graphs that never run concurrently and that are replayed in the
    order of their captures. The first holds because they are replayed on one stream, where the work of one replay ends
    before that of the next begins. The second is asked for the sake of results that one graph leaves in the pool for
    another, or for its caller. There are none: whatever is read after a replay (parameters, moments, losses, counters)
    was allocated before the capture, and what is in the pool is written within a replay before it is read there.

    Other threads of the process may use the GPU during the capture.

    Args:
        step: see `RepeatedStep`. It must be replayed on the stream that is current now.

    Raises:
        Exception: what the step raises, even where the capture cannot be ended properly after that.
    """
    here = torch.cuda.current_device(), torch.cuda.current_stream().cuda_stream
    lane = _lanes.get(here) or _lanes.setdefault(here, _open_lane(here[0]))
    raised: list[BaseException] = []

    def watched() -> None:
        try:
            step()
        except BaseException as error:
            raised.append(error)
            raise

    graph = torch.cuda.CUDAGraph()
    try:
        # Where a capture cannot be ended, `torch.cuda.graph` leaves its stream the current one: the outer block does
        # not.
        with (
            torch.cuda.stream(lane.stream),
            torch.cuda.graph(graph, pool=lane.anchor.pool(), stream=lane.stream, capture_error_mode="thread_local"),
        ):
            watched()
    except BaseException as error:
        if raised and error is raised[0]:
            raise
        # The capture was not ended, and torch refuses another one with its pool. Graphs that use the pool live on.
        _closed.append(_lanes.pop(here))
        if raised:
            raise raised[0] from error
        raise
    return graph.replay


def _open_lane(device: int) -> _Lane:
    """Returns a new stream for captures, with an anchor whose pool holds the stream's workspace of cuBLAS."""
    square = torch.ones(16, 16, device=torch.device("cuda", device))
    torch.mm(square, square)  # opens cuBLAS, on the current stream
    stream, anchor = torch.cuda.Stream(device), torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream), torch.cuda.graph(anchor, stream=stream, capture_error_mode="thread_local"):
        torch.mm(square, square)
    return _Lane(stream, anchor)

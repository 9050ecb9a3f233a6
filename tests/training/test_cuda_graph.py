"""Captures as CUDA graphs, against a stand-in for the device that keeps account of whose memory lives how long.

It follows torch 2.14: a capture's memory lies in its pool, which lives as long as one of the graphs captured with it;
cuBLAS's workspace of a stream lies in the pool of the capture that first needed it, and is dropped whenever a graph
that was captured on that stream ends (pytorch/pytorch issue 193402).
"""

from __future__ import annotations

import contextlib
import types
import weakref

import pytest
import torch

from aesweep.training.engine.gpu import cuda_graph
from aesweep.training.engine.gpu.cuda_graph import RepeatedStep, capture_as_cuda_graph


class Device:
    """The stand-in.

    Attributes:
        graphs: of each pool, how many graphs live that were captured with it.
        workspaces: of each stream, the pool that its workspace lies in.
        stream: the current stream.
        recording: the graph that is being captured; None between captures.
        underway: pools of captures that have begun and not ended.
        breaks_at_end: the error with which the next capture ends.
    """

    def __init__(self) -> None:
        self.graphs: dict[int, int] = {}
        self.workspaces: dict[int, int] = {}
        self.stream = 0
        self.recording: Graph | None = None
        self.underway: set[int] = set()
        self.breaks_at_end: Exception | None = None
        self._streams = 0

    def new_stream(self, device=None) -> types.SimpleNamespace:
        self._streams += 1
        return types.SimpleNamespace(cuda_stream=self._streams)

    @contextlib.contextmanager
    def on(self, stream):
        before, self.stream = self.stream, stream.cuda_stream
        yield
        self.stream = before  # but not after an error, as `torch.cuda.graph` does it

    def product(self) -> None:
        """A matrix product on the current stream."""
        if self.recording is not None:
            pool = self.workspaces.setdefault(self.stream, self.recording.pool_id)
            self.recording.uses |= {pool, self.recording.pool_id}


class Graph:
    def __init__(self, device: Device):
        self.device, self.uses, self.pool_id = device, set(), 0

    def begin(self, pool: int | None) -> None:
        device = self.device
        self.pool_id = pool or len(device.graphs) + 1
        if self.pool_id in device.underway:
            raise RuntimeError("beginAllocateToPool: already recording to mempool_id")
        device.underway.add(self.pool_id)
        device.recording = self

    def end(self) -> None:
        device = self.device
        device.recording = None
        if device.breaks_at_end is not None:
            error, device.breaks_at_end = device.breaks_at_end, None
            raise error
        device.underway.discard(self.pool_id)
        device.graphs[self.pool_id] = device.graphs.get(self.pool_id, 0) + 1
        weakref.finalize(self, _reset, device, self.pool_id, device.stream)

    def pool(self) -> int:
        return self.pool_id

    def replay(self) -> None:
        gone = [pool for pool in self.uses if not self.device.graphs[pool]]
        assert not gone, f"an illegal memory access was encountered: pools {gone} are gone"


def _reset(device: Device, pool: int, stream: int) -> None:
    device.graphs[pool] -= 1
    device.workspaces.pop(stream, None)


@pytest.fixture
def device(monkeypatch) -> Device:
    device = Device()

    @contextlib.contextmanager
    def graph(graph, pool=None, stream=None, capture_error_mode="global"):
        """As torch's: where the capture's end breaks, the stream is not given back."""
        assert capture_error_mode == "thread_local"
        entered = device.on(stream)
        entered.__enter__()
        graph.begin(pool)
        try:
            yield
        finally:
            graph.end()
            with contextlib.suppress(StopIteration):
                next(entered.gen)

    @contextlib.contextmanager
    def stream(wanted):
        """As torch's, which gives the stream back whatever happens."""
        before, device.stream = device.stream, wanted.cuda_stream
        try:
            yield
        finally:
            device.stream = before

    monkeypatch.setattr(cuda_graph, "_lanes", {})
    monkeypatch.setattr(cuda_graph, "_closed", [])
    for name, value in {
        "CUDAGraph": lambda: Graph(device),
        "graph": graph,
        "stream": stream,
        "Stream": device.new_stream,
        "current_device": lambda: 0,
        "current_stream": lambda: types.SimpleNamespace(cuda_stream=device.stream),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch, "ones", lambda *a, **k: None)
    monkeypatch.setattr(torch, "mm", lambda *a: device.product())
    return device


@pytest.mark.parametrize("index", [0, 1, -1])
def test_no_graph_loses_memory_when_others_end_and_new_ones_are_captured(device, index):
    replays = [capture_as_cuda_graph(device.product) for _ in range(3)]
    for _ in range(6):
        del replays[index]
        for replay in replays:
            replay()
        replays.append(capture_as_cuda_graph(device.product))
        replays.append(capture_as_cuda_graph(device.product))
        for replay in replays:
            replay()


def test_the_stand_in_breaks_graphs_that_are_captured_with_a_pool_each_on_one_stream(device):
    """Which is what was done before, and what PyTorch's issue tells."""
    stream, graphs = device.new_stream(), []
    for _ in range(3):
        graphs.append(Graph(device))
        with torch.cuda.graph(graphs[-1], stream=stream, capture_error_mode="thread_local"):
            device.product()
    for graph in graphs:
        graph.replay()
    del graphs[0], graph
    with pytest.raises(AssertionError, match="illegal memory access"):
        graphs[-1].replay()


def test_captures_that_are_replayed_on_other_streams_share_nothing(device):
    capture_as_cuda_graph(device.product)
    with device.on(device.new_stream()):
        other = capture_as_cuda_graph(device.product)
        other()
    assert len(cuda_graph._lanes) == 2
    assert len({lane.anchor.pool() for lane in cuda_graph._lanes.values()}) == 2


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), KeyboardInterrupt()])
def test_a_step_that_breaks_raises_its_own_error_and_leaves_the_stream_as_it_was(device, error):
    def step():
        device.product()
        raise error

    first = capture_as_cuda_graph(device.product)
    with pytest.raises(type(error)):
        capture_as_cuda_graph(step)
    assert device.stream == 0 and len(cuda_graph._lanes) == 1 and not cuda_graph._closed
    capture_as_cuda_graph(device.product)()
    first()


def test_a_capture_that_cannot_be_ended_raises_what_the_step_raised_and_later_captures_take_another_pool(device):
    first = capture_as_cuda_graph(device.product)

    def step():
        device.breaks_at_end = RuntimeError("CUDA error: operation failed due to a previous error during capture")
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError):
        capture_as_cuda_graph(step)
    assert device.stream == 0
    capture_as_cuda_graph(device.product)()
    assert len(device.underway) == 1  # torch believes that the broken capture goes on
    first()


def test_a_graph_that_finds_no_memory_when_it_is_made_tells_of_short_memory(device):
    repeat = RepeatedStep(capture_as_cuda_graph)
    repeat(device.product)
    device_broken = torch.AcceleratorError if hasattr(torch, "AcceleratorError") else RuntimeError
    capture_as_cuda_graph(device.product)  # opens the lane
    device.breaks_at_end = device_broken("CUDA error: out of memory")
    with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        repeat(device.product)


def test_a_step_that_can_do_without_a_capture_is_called_where_memory_is_short_for_one():
    calls = []

    def capture(step):
        calls.append("captured")
        raise torch.OutOfMemoryError("CUDA out of memory.")

    repeat = RepeatedStep(capture, is_needed=False)
    for _ in range(3):
        repeat(lambda: calls.append("called"))
    assert calls == ["called", "captured", "called", "called"]
    needed = RepeatedStep(capture)
    needed(lambda: None)
    with pytest.raises(torch.OutOfMemoryError):
        needed(lambda: None)

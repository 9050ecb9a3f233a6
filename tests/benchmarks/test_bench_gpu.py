"""The GPU benchmark's own claims: what it counts, and that it ends well where there is no GPU."""

import subprocess
import sys

import bench_gpu
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from aesweep.models.dense import Dense
from aesweep.training.pack import Pack


@pytest.mark.parametrize("hidden_layers", [(), (512, 128), (30, 20, 10)])
def test_counted_operations_are_those_that_torch_counts(hidden_layers):
    """Of a plain loop of one model: the pack asks for the same products."""

    architecture = Dense(784, hidden_layers, 100)
    model, images = architecture.as_module(), torch.rand(128, 784)
    with FlopCounterMode(display=False) as counter:
        torch.nn.functional.mse_loss(model(images), images).backward()
    assert bench_gpu.flops_of_step(architecture, 128) == counter.get_total_flops()


def test_published_shape_costs_what_is_said_of_it():
    architecture = Dense(784, (512, 128), 100)
    assert bench_gpu.flops_of_step(architecture, 128) == pytest.approx(634e6, rel=0.15)
    state = 4 * architecture.layout.num_elements
    assert bench_gpu.bytes_of_step(architecture, 128) > 10 * state


def test_without_a_gpu_it_says_so_and_ends_well(monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    done = subprocess.run([sys.executable, bench_gpu.__file__], capture_output=True, text=True, check=True)
    assert done.stdout == "no GPU\n"


def test_benchmarked_pack_trains_as_many_steps_as_are_counted():
    pack = Pack(bench_gpu.some_images(3), lock_step=True)
    pack.add("0", bench_gpu.CONFIGURATION, seed=0, epochs=2)
    assert len(pack.train_epoch()["0"].step_losses) == 3


def test_processes_that_are_compared_multiply_as_exactly_as_the_packs(monkeypatch):
    """And a loop that is started as such a process sets the precision that it is told."""
    commands, set_to = [], []

    class Process:
        returncode = 0

        def __init__(self, command, **_):
            commands.append(command)

        def communicate(self):
            return "5.0", None

    monkeypatch.setattr(bench_gpu.subprocess, "Popen", Process)
    assert bench_gpu.processes_rate(2, 3, "tf32") == 10
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(bench_gpu, "configure_torch", lambda threads, precision: set_to.append(precision))
    monkeypatch.setattr(bench_gpu, "eager_loop", lambda *_: None)
    monkeypatch.setattr(bench_gpu, "wall", lambda work: sys.exit())
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: tensor)
    monkeypatch.setattr(sys, "argv", commands[0][1:])
    with pytest.raises(SystemExit):
        bench_gpu.main()
    assert set_to == ["tf32"]


def test_members_of_a_benchmark_are_drawn_at_once():
    assert bench_gpu.CONFIGURATION.initialization == "uniform"

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

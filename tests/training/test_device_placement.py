"""A lock-step on a GPU that is not there: torch's fake tensors follow shapes, types and devices, and compute nothing.

What lies on the host by mistake, or is asked for by the host in the middle of an epoch, would break here as it would on
a GPU. The kernels' references stand in for the kernels.
"""

from __future__ import annotations

import contextlib
import types

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from aesweep.training.engine.gpu import lock_step
from aesweep.training.engine.gpu import philox as counter_streams
from aesweep.training.engine.gpu.lock_step import Agenda, LockStepStack
from aesweep.training.evaluation import per_image_mse
from aesweep.training.pack import Pack
from tests.training.test_lock_step import CONFIGURATIONS, IMAGES, PLAIN, VARIANTS, pack_of


@pytest.fixture
def fake_gpu(monkeypatch):
    """Packs on "cuda" without one."""
    references = types.SimpleNamespace(
        add_noise=counter_streams.add_noise,
        draw_masks=counter_streams.draw_masks,
        update=lock_step.update_plainly,
    )
    monkeypatch.setattr(LockStepStack, "_kernels", references)
    monkeypatch.setattr(LockStepStack, "capture", {})
    monkeypatch.setattr(Agenda, "pinned", lambda agenda: agenda)
    monkeypatch.setattr(torch.cuda, "device_of", contextlib.nullcontext)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


@pytest.fixture(params=[["none"], ["all"], list(VARIANTS)], ids=["one", "one with all", "many"])
def names(request) -> list[str]:
    return request.param


@pytest.fixture
def states(names):
    """Where members start from, made on the host: initial weights need numbers."""
    pack = pack_of(names, torch.float32)
    return {name: pack.export(name) for name in names}


def pack_on_gpu(states, **options) -> Pack:
    pack = Pack(torch.as_tensor(IMAGES), device="cuda", **options)
    for name, state in states.items():
        pack.add(name, CONFIGURATIONS[name], seed=1, epochs=3, state=state)
    return pack


def test_all_of_an_epoch_happens_on_the_device_and_its_losses_come_back(states, fake_gpu):
    pack = pack_on_gpu(states)
    stack = LockStepStack(list(pack._members.values()), pack._workspaces)
    for _ in range(2):
        errors, penalties = stack._train_epoch(pack.images, PLAIN.batch_size, stack.members)
        assert errors.shape == penalties.shape == (-(-len(IMAGES) // PLAIN.batch_size), len(states))
        assert {tensor.device.type for tensor in (errors, penalties)} == {"cpu"}
    buffers = [*stack._stacked, *stack._current.agenda.tensors(), *pack._workspaces.get(len(states), 16).before]
    assert {tensor.device.type for tensor in buffers} == {"cuda"}
    assert pack.export(next(iter(states))).parameters.device.type == "cpu"


def test_members_are_judged_on_the_device(states, fake_gpu):
    pack = pack_on_gpu(states)
    stack = LockStepStack(list(pack._members.values()), pack._workspaces)
    images, noise = (torch.rand(9, 40, device="cuda") for _ in range(2))
    deviations = torch.rand(len(states), device="cuda")
    deviations = deviations[0] if len(states) == 1 else deviations
    for pattern in (None, noise):
        found = per_image_mse(pack._workspaces.architecture, stack.parameters, images, pattern, deviations, rows=4)
        assert found.device.type == "cuda" and found.shape[-1] == 9 and found.numel() == 9 * len(states)


def test_a_tensor_on_the_host_and_a_number_asked_for_would_be_noticed(states, fake_gpu, monkeypatch):
    pack = pack_on_gpu(states)
    stack = LockStepStack(list(pack._members.values()), pack._workspaces)
    original = LockStepStack._train_step
    monkeypatch.setattr(LockStepStack, "_train_step", lambda *a: float(original(*a) or stack._step))
    with pytest.raises(DataDependentOutputException):
        stack._train_epoch(pack.images, PLAIN.batch_size, stack.members)
    monkeypatch.setattr(LockStepStack, "_train_step", original)
    stack._squared_errors = torch.empty(len(states))
    with pytest.raises(Exception, match=r"cuda|device"):
        stack._train_epoch(pack.images, PLAIN.batch_size, stack.members)


def test_precision_bf16_multiplies_bfloat16_matrices_on_the_device(states, fake_gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    pack = pack_on_gpu(states, precision="bf16")
    stack = LockStepStack(list(pack._members.values()), pack._workspaces)
    factors = []
    for name in ("mm", "bmm"):
        original = getattr(torch, name)

        def product(a, b, out, original=original):
            factors.append((a.dtype, b.dtype, a.device.type, b.device.type))
            return original(a, b, out=out)

        monkeypatch.setattr(torch, name, product)
    workspace = pack._workspaces.get(len(states), PLAIN.batch_size)
    workspace._products._product = torch.mm if len(states) == 1 else torch.bmm
    stack._train_epoch(pack.images[: 2 * PLAIN.batch_size], PLAIN.batch_size, stack.members)
    layers = workspace.architecture.num_layers
    assert factors == [(torch.bfloat16, torch.bfloat16, "cuda", "cuda")] * (2 * (3 * layers - 1))

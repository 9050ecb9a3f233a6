"""Members in lock-step by operations for all of them, on the CPU: what a GPU is asked, but for the kernels."""

from __future__ import annotations

import dataclasses
import gc
import weakref

import pytest
import torch

from aesweep.training.engine.gpu import lock_step
from aesweep.training.engine.gpu.cuda_graph import RepeatedStep
from aesweep.training.engine.gpu.lock_step import LockStepStack
from aesweep.training.engine.optimizer import adam_step, decay_weights
from aesweep.training.pack import Pack
from tests.training.plain_training import some_images
from tests.training.replay import Recorded
from tests.training.test_pack_exactness import PLAIN, VARIANTS

IMAGES = some_images(203, 40)  # the last batch is smaller
CONFIGURATIONS = {
    name: dataclasses.replace(PLAIN, **{**values, "activation": "gelu", "output": "sigmoid"})
    for name, values in VARIANTS.items()
}
DRAWING = ("dropout", "noise", "all")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-10)]


@pytest.fixture(params=DEVICES)
def device(request) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    return request.param


def pack_of(names, dtype=torch.float64, epochs=3, **arguments) -> Pack:
    pack = Pack(IMAGES, dtype=dtype, members_per_step=100, **arguments)
    for name in names:
        pack.add(name, CONFIGURATIONS[name], seed=list(VARIANTS).index(name), epochs=epochs)
    return pack


def trained(pack: Pack, epochs: int = 3) -> dict[str, torch.Tensor]:
    losses = [pack.train_epoch() for _ in range(epochs)]
    return {key: torch.cat([epoch[key].step_losses for epoch in losses]) for key in pack.keys()}  # noqa: SIM118


@pytest.mark.parametrize("names", [["none"], [name for name in VARIANTS if name not in DRAWING]])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_members_learn_what_they_learn_one_by_one(names, dtype, tolerance, device):
    """But for noise and dropout, whose numbers are others."""
    one_by_one = trained(pack_of(names, dtype, lock_step=False))
    together = trained(pack_of(names, dtype, lock_step=True, device=device))
    for name in names:
        torch.testing.assert_close(together[name], one_by_one[name], rtol=tolerance, atol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_members_learn_what_they_learn_alone_whoever_joins_and_leaves(dtype, tolerance, device):
    names = list(VARIANTS)
    alone = {name: trained(pack_of([name], dtype, lock_step=True, device=device))[name] for name in names}
    steps = -(-len(IMAGES) // PLAIN.batch_size)
    pack = pack_of(names[:5], dtype, lock_step=True, device=device)
    losses = {name: [] for name in names}

    def train():
        for name, result in pack.train_epoch().items():
            losses[name].append(result.step_losses)

    train()
    pack.remove(names[1])
    for name in names[5:]:
        pack.add(name, CONFIGURATIONS[name], seed=names.index(name), epochs=3)
    train()
    pack.remove(names[0])
    moved = Pack(IMAGES, dtype=dtype, members_per_step=2, lock_step=True, device=device)
    moved.add(names[7], CONFIGURATIONS[names[7]], seed=7, epochs=3, state=pack.export(names[7]))
    pack.remove(names[7])
    train()
    losses[names[7]] += [moved.train_epoch()[names[7]].step_losses for _ in range(2)]
    train()
    for name in names:
        got = torch.cat(losses[name])
        assert len(got) == steps * {names[0]: 2, names[1]: 1}.get(name, 3)
        torch.testing.assert_close(got, alone[name][: len(got)], rtol=tolerance, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_update_is_that_of_the_members_own_optimizers(dtype):
    from aesweep.training.engine.gpu.lock_step import update_plainly

    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    parameters, moment1, moment2 = draw(3, 50), draw(3, 50), draw(3, 50).square()
    gradient, num_weights, step = draw(3, 50), 32, 7
    rates, decays, l1, l2 = [1e-3, 0.1, 0.01], [0.1, 0.0, 0.3], [0.0, 0.2, 0.0], [0.0, 0.0, 0.4]
    expected = [tensor.clone() for tensor in (parameters, moment1, moment2)]
    for k in range(3):
        p, own = expected[0][k], gradient[k].clone()
        own[:num_weights] += l1[k] * p[:num_weights].sign() + 2 * l2[k] * p[:num_weights]
        decay_weights(p[:num_weights], rates[k], decays[k])
        adam_step(p, own, expected[1][k], expected[2][k], torch.tensor(float(step - 1)), rates[k])
    scalars = torch.tensor(
        [
            [r / (1 - 0.9**step), (1 - 0.999**step) ** 0.5, 1 - r * d, a, 2 * b]
            for r, d, a, b in zip(rates, decays, l1, l2, strict=True)
        ],
        dtype=torch.float64,
    ).to(dtype)
    constants = torch.tensor([0.9, 1 - 0.9, 0.999, 1 - 0.999, 1e-8], dtype=torch.float64).to(dtype)
    present = torch.ones(3, dtype=torch.int32)
    update_plainly(parameters, gradient, moment1, moment2, scalars, constants, present, num_weights, True)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-13}
    for got, wanted in zip((parameters, moment1, moment2), expected, strict=True):
        torch.testing.assert_close(got, wanted, **tolerance)


@pytest.mark.parametrize("names", [["none"], ["all"], list(VARIANTS)])
def test_captured_steps_are_to_the_bit_those_that_are_called(names, captured, monkeypatch):
    """As CUDA graphs are: whatever a step would do anew on the host is done once, and then only its operations."""
    together = pack_of(names, torch.float32, lock_step=True)
    losses = trained(together)
    whole, rest = divmod(len(IMAGES), PLAIN.batch_size)
    assert rest and [replay.calls for replay in captured] == [3 * whole - 1]  # all but the first and the smaller ones
    monkeypatch.setattr(LockStepStack, "capture", {})
    called = pack_of(names, torch.float32, lock_step=True)
    expected = trained(called)
    for name in names:
        assert torch.equal(losses[name], expected[name])
        for mine, other in zip(*(dataclasses.astuple(pack.export(name)) for pack in (together, called)), strict=True):
            assert torch.equal(torch.as_tensor(mine), torch.as_tensor(other))


def test_captured_steps_with_products_of_bfloat16_are_to_the_bit_those_that_are_called(captured, monkeypatch):
    monkeypatch.setattr("aesweep.training.pack.has_bfloat16_products", lambda device: True)
    names = list(VARIANTS)[:3]
    options = {"lock_step": True, "precision": "bf16"}
    losses = trained(pack_of(names, torch.float32, **options))
    assert len(captured) == 1
    monkeypatch.setattr(LockStepStack, "capture", {})
    expected = trained(pack_of(names, torch.float32, **options))
    for name in names:
        assert torch.equal(losses[name], expected[name])


def test_step_is_captured_anew_when_members_come_and_go_and_the_old_one_lets_go_of_its_memory(captured):
    names = list(VARIANTS)
    alone = {name: trained(pack_of([name], lock_step=True))[name] for name in names[:3]}
    captured.clear()
    pack = pack_of(names[:2], lock_step=True)
    losses = {name: [] for name in names[:3]}
    stacks = []
    gc.disable()  # a stack's memory shall not wait for the collector
    try:
        for leaving, coming in ((None, names[2]), (names[0], None), (None, None)):
            for name, result in pack.train_epoch().items():
                losses[name].append(result.step_losses)
            stacks += [weakref.ref(stack) for stack in pack._stacks.values()]
            if leaving:
                pack.remove(leaving)
            if coming:
                pack.add(coming, CONFIGURATIONS[coming], seed=names.index(coming), epochs=3)
        assert len(captured) == 3
        captured.clear()
        assert [stack() is None for stack in stacks] == [True, True, False]
    finally:
        gc.enable()
    for name, epochs in losses.items():
        got = torch.cat(epochs)
        torch.testing.assert_close(got, alone[name][: len(got)], rtol=1e-10, atol=0)


def test_first_call_and_each_without_capture_runs_the_step_itself():
    calls = []
    repeat = RepeatedStep(lambda step: calls.append("captured") or (lambda: calls.append("replayed")))
    plain = RepeatedStep(None)
    for repeated in (repeat, plain):
        for _ in range(3):
            repeated(lambda: calls.append("called"))
    assert calls == ["called", "captured", "replayed", "replayed", "called", "called", "called"]


def test_next_epoch_is_drawn_up_before_it_is_asked_for_and_only_where_there_is_one(monkeypatch):
    """And what was drawn up for members who have moved meanwhile is not used."""
    drawn = []
    original = lock_step.epoch_order

    def order(seed, epoch, num_images):
        drawn.append((seed, epoch))
        return original(seed, epoch, num_images)

    monkeypatch.setattr(lock_step, "epoch_order", order)
    pack = pack_of(["none"], lock_step=True)
    for _ in range(3):
        pack.train_epoch()
    assert drawn == [(0, 1), (0, 2), (0, 3)]


def test_every_step_is_the_same_operations_on_the_same_memory_and_asks_the_host_nothing(captured):
    """What a captured step repeats is right only if this holds."""
    pack = pack_of(list(VARIANTS), torch.float32, lock_step=True)
    pack.train_epoch()
    (replay,) = captured
    (stack,) = pack._stacks.values()
    desk = stack._current
    stack._step.zero_()
    with Recorded() as again:
        stack._train_step(desk, desk.agenda.order.index_select(0, stack._step))
    assert len(again.operations) > 50
    first, then = (recorded.told() for recorded in (replay.recorded, again))
    assert [pair for pair in zip(first, then, strict=True) if pair[0] != pair[1]] == []
    names = {operation[0] for operation in then}
    assert not {name for name in names if "_local_scalar_dense" in name or "nonzero" in name or "is_all_true" in name}

"""Members in lock-step by operations for all of them, on the CPU: what a GPU is asked, but for the kernels."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sweep.training.lock_step import LockStepStack
from sweep.training.optimizer import adam_step, decay_weights
from sweep.training.pack import Pack
from tests.training.plain_training import some_images
from tests.training.test_pack_exactness import PLAIN, VARIANTS

IMAGES = some_images(203, 40)  # the last batch is smaller
CONFIGURATIONS = {
    name: dataclasses.replace(PLAIN, **{**values, "activation": "gelu", "output": "sigmoid"})
    for name, values in VARIANTS.items()
}
DRAWING = ("dropout", "noise", "all")


def pack_of(names, dtype=torch.float64, epochs=3, **arguments) -> Pack:
    pack = Pack(IMAGES, dtype=dtype, members_per_step=100, **arguments)
    for name in names:
        pack.add(name, CONFIGURATIONS[name], seed=list(VARIANTS).index(name), epochs=epochs)
    return pack


def trained(pack: Pack, epochs: int = 3) -> dict[str, torch.Tensor]:
    losses = [pack.train_epoch() for _ in range(epochs)]
    return {key: torch.cat([epoch[key].step_losses for epoch in losses]) for key in pack.keys()}  # noqa: SIM118


@pytest.mark.parametrize("names", [["none"], [name for name in VARIANTS if name not in DRAWING]])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_members_learn_what_they_learn_one_by_one(names, dtype, tolerance):
    """But for noise and dropout, whose numbers are others."""
    one_by_one = trained(pack_of(names, dtype, lock_step=False))
    together = trained(pack_of(names, dtype, lock_step=True))
    for name in names:
        torch.testing.assert_close(together[name], one_by_one[name], rtol=tolerance, atol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_members_learn_what_they_learn_alone_whoever_joins_and_leaves(dtype, tolerance):
    names = list(VARIANTS)
    alone = {name: trained(pack_of([name], dtype, lock_step=True))[name] for name in names}
    steps = -(-len(IMAGES) // PLAIN.batch_size)
    pack = pack_of(names[:5], dtype, lock_step=True)
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
    moved = Pack(IMAGES, dtype=dtype, members_per_step=2, lock_step=True)
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
    from sweep.training.lock_step import update_plainly

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
    update_plainly(parameters, gradient, moment1, moment2, scalars, constants, num_weights, True)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-13}
    for got, wanted in zip((parameters, moment1, moment2), expected, strict=True):
        torch.testing.assert_close(got, wanted, **tolerance)


class Recorded(TorchDispatchMode):
    """The operations of a step: their names, numbers, and where tensors lie that are older than the step."""

    def __init__(self):
        super().__init__()
        self.operations: list[tuple] = []
        self._made: set[int] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        flat = torch.utils._pytree.tree_leaves((args, kwargs or {}))
        self.operations.append((str(function), *(self._seen(item) for item in flat)))
        for item in torch.utils._pytree.tree_leaves(out):
            old = isinstance(item, torch.Tensor) and any(item is given for given in flat)
            if isinstance(item, torch.Tensor) and not old:
                self._made.add(id(item))
                self.keep = [*getattr(self, "keep", []), item]
        return out

    def _seen(self, item):
        if not isinstance(item, torch.Tensor):
            return item
        place = "made here" if id(item) in self._made else item.data_ptr()
        return (place, tuple(item.shape), item.dtype)


def test_every_step_is_the_same_operations_on_the_same_memory_and_asks_the_host_nothing(monkeypatch):
    """What a CUDA graph of a step repeats is right only if this holds."""
    steps = []
    original = LockStepStack._train_step

    def recorded(stack, images, indices, *arguments):
        indices = row.copy_(indices) if indices.shape == row.shape else indices
        with Recorded() as mode:
            original(stack, images, indices, *arguments)
        steps.append(mode.operations)

    pack = pack_of(list(VARIANTS), torch.float32, lock_step=True)
    # Where the step's row of the order lies is up to whoever calls the step.
    row = torch.empty(1, len(VARIANTS) * PLAIN.batch_size, dtype=torch.int64)
    pack.train_epoch()  # buffers are made when they are first asked for
    monkeypatch.setattr(LockStepStack, "_train_step", recorded)
    pack.train_epoch()
    whole = len(IMAGES) // PLAIN.batch_size
    assert len(steps) == whole + 1 and len(steps[0]) > 50
    for step in steps[1:whole]:
        assert [pair for pair in zip(step, steps[0], strict=True) if pair[0] != pair[1]] == []
    names = {operation[0] for step in steps for operation in step}
    assert not {name for name in names if "_local_scalar_dense" in name or "nonzero" in name or "is_all_true" in name}

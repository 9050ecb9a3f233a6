"""Members of a pack that sit an epoch out: their state, their companions, and the step that was captured with them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from aesweep.training.engine.gpu import lock_step
from aesweep.training.engine.gpu.lock_step import LockStepStack
from aesweep.training.pack import Pack
from tests.training.test_lock_step import VARIANTS, pack_of, trained


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_update_leaves_models_that_are_not_present_as_they_are_whatever_their_gradient(bad):
    generator = torch.Generator().manual_seed(2)
    state = [torch.randn(3, 20, generator=generator) for _ in range(3)]
    state[2].square_()
    state[0][1, 3] = state[2][1, 4] = bad
    before = [tensor.clone() for tensor in state]
    gradient = torch.randn(3, 20, generator=generator)
    gradient[1] = bad
    scalars = torch.tensor([[1e-3, 0.5, 0.9, 0.1, 0.2]] * 3)
    constants = torch.tensor([0.9, 0.1, 0.999, 0.001, 1e-8])
    present = torch.tensor([1, 0, 1], dtype=torch.int32)
    lock_step.update_plainly(state[0], gradient, *state[1:], scalars, constants, present, 12, True)
    for now, then in zip(state, before, strict=True):
        assert torch.equal(now[1].view(torch.int32), then[1].view(torch.int32))
        assert not (now[[0, 2]] == then[[0, 2]]).all()


def states(pack: Pack) -> dict[str, tuple]:
    return {key: dataclasses.astuple(pack.export(key)) for key in pack.keys()}  # noqa: SIM118


def same(one: tuple, other: tuple) -> bool:
    return all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(one, other, strict=True))


def test_captured_step_stays_while_some_members_sit_epochs_out_with_their_state_to_the_bit(captured):
    names = list(VARIANTS)[:3] + list(VARIANTS)[-1:]
    alone = {name: trained(pack_of([name], torch.float32, epochs=6, lock_step=True), 4)[name] for name in names}
    captured.clear()
    pack = pack_of(names, torch.float32, epochs=6, lock_step=True)
    losses = {name: [] for name in names}
    for out in ((), names[2:3], names[:1], (), names[3:]):
        before = states(pack)
        found = pack.train_epoch([name for name in names if name not in out])
        assert not set(found) & set(out)
        for name, result in found.items():
            losses[name].append(result.step_losses)
        now = states(pack)
        assert all(same(now[name], before[name]) == (name not in found) for name in names)
    assert len(captured) == 1 and len(pack._stacks) == 1
    for name, epochs in losses.items():
        got = torch.cat(epochs)[: len(alone[name])]
        torch.testing.assert_close(got, alone[name][: len(got)], rtol=1e-5, atol=0)


def test_a_member_that_sits_out_and_is_broken_spoils_no_other_and_stays_as_it_is(captured):
    names = list(VARIANTS)[:5]
    pack = pack_of(names, torch.float32, lock_step=True)
    whole = pack_of(names, torch.float32, lock_step=True)
    pack.train_epoch()
    whole.train_epoch()
    pack._members[names[1]].parameters[3] = torch.nan
    before = states(pack)[names[1]]
    found, expected = pack.train_epoch({*names} - {names[1]}), whole.train_epoch()
    assert torch.equal(torch.isnan(states(pack)[names[1]][0]), torch.isnan(before[0]))
    assert all(torch.equal(found[name].step_losses, expected[name].step_losses) for name in found)
    assert len(found) == 4 and not any(result.diverged for result in found.values())


def test_members_whose_companions_mostly_sit_out_train_in_a_stack_of_their_own_and_all_together_later(captured):
    names = list(VARIANTS)[:4]
    alone = {name: trained(pack_of([name], epochs=9, lock_step=True), 3)[name] for name in names}
    pack = pack_of(names, epochs=9, lock_step=True)
    losses = {name: [] for name in names}
    for trained_now in (names, names[:2], names[2:], names[1:2], names):
        for name, result in pack.train_epoch(trained_now).items():
            losses[name].append(result.step_losses)
        keys = [key for stack in pack._stacks for key in stack]
        assert len(keys) == len(set(keys))
    # Whoever is in no stack, or in another one than before, keeps no old stack's memory.
    assert list(pack._stacks) == [tuple(names)]
    pack.train_epoch(names[:2])
    idle = pack._members[names[3]].parameters
    assert idle.untyped_storage().nbytes() == idle.nbytes
    for name, epochs in losses.items():
        got = torch.cat(epochs)[: len(alone[name])]
        torch.testing.assert_close(got, alone[name][: len(got)], rtol=1e-10, atol=0)


def test_epoch_for_whose_end_there_is_no_memory_is_not_counted(monkeypatch):
    """As where the next epoch is drawn up, after all steps."""
    names = list(VARIANTS)[:3]
    expected = trained(pack_of(names, lock_step=True))
    original, broken = LockStepStack._draw_up, []

    def draw_up(stack, *arguments):
        if len(stack.members) == 3 and stack.members[0].epoch == 1 and not broken:
            broken.append(True)
            raise RuntimeError("CUDA error: out of memory")
        return original(stack, *arguments)

    monkeypatch.setattr(LockStepStack, "_draw_up", draw_up)
    pack = pack_of(names, lock_step=True)
    found = trained(pack)
    assert broken and pack.shortage == {"members_per_step": 2, "reason": "CUDA error: out of memory"}
    for name in names:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-10, atol=0)

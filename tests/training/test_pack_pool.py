"""Trials that share a device: who shares a pack, that a pack fits its memory, and what follows where it does not."""

from __future__ import annotations

import dataclasses
import gc
import traceback
import weakref

import numpy as np
import pytest
import torch

from aesweep.models.dense import Dense
from aesweep.search.trial_spec import TrialSpec
from aesweep.study.configuration import Configuration
from aesweep.training.engine import stack as stack_module
from aesweep.training.engine.stack import Stack
from aesweep.training.engine.workspaces import Workspaces
from aesweep.training.evaluation import CPU_PAIRS
from aesweep.training.memory import pack_memory
from aesweep.training.pack import Pack
from aesweep.training.pack_pool import Packs
from tests.tiny_jobs import BASE, tiny_job

EPOCHS = 3
LEFT_OUT = ("seconds", "held_seconds", "continued_from", "rejected", "is_awaited")


def spec(number: int = 0, configuration: Configuration = BASE, **fields) -> TrialSpec:
    return tiny_job(number, configuration, **{"epochs": EPOCHS, **fields})


def own(number: int) -> Configuration:
    """Configurations that may share a pack, with something of everything."""
    fields = [{}, {"dropout": 0.2}, {"noise_variance": 0.1}, {"l1": 1e-4}, {"weight_decay": 0.1, "l2": 1e-4}]
    return dataclasses.replace(BASE, learning_rate=1e-3 * (1 + number), **fields[number % len(fields)])


def train(packs: Packs, packed_trials) -> dict[str, list[dict]]:
    """All numbers of all trials, without what is a matter of time."""
    rows = {packed.spec.trial: [] for packed in packed_trials}
    while found := packs.train_epoch():
        for packed, row in found:
            assert not isinstance(row, Exception), row
            rows[packed.spec.trial].append({n: v for n, v in dataclasses.asdict(row).items() if n not in LEFT_OUT})
    return rows


def numbers(row: dict) -> dict:
    """What of a row is measured."""
    names = ("loss", "training_mse", "validation_mse", "validation_psnr_db", "learning_rate")
    return {name: row[name] for name in names}


def lock_step(monkeypatch) -> None:
    """Packs on the CPU whose members all go in lock-step, in float64, as they would on a GPU in its types."""
    plain = Pack.__init__

    def all_at_once(self, images, **arguments):
        plain(self, images, **{**arguments, "members_per_step": 1000, "dtype": torch.float64})

    monkeypatch.setattr(Pack, "__init__", all_at_once)


def test_jobs_of_a_kind_share_a_pack_and_packs_share_images(images):
    packs = Packs()
    wide = dataclasses.replace(BASE, hidden_layers=(20,))
    one, two, other = (
        packs.join(spec(0), images),
        packs.join(spec(1, own(1)), images),
        packs.join(spec(2, wide), images),
    )
    assert one.pack is two.pack is not other.pack
    assert one.pack.images is other.pack.images
    assert packs.join(spec(3, training_images=20), images).pack is not one.pack


def test_packs_take_turns_and_a_job_that_is_not_ready_waits(images):
    packs = Packs()
    specs = [spec(0), spec(1), spec(2, dataclasses.replace(BASE, hidden_layers=(20,)))]
    one, two, other = (packs.join(found, images) for found in specs)
    turns = [[packed for packed, _ in packs.train_epoch()] for _ in range(3)]
    assert turns == [[one, two], [other], [one, two]]
    assert [packed for packed, _ in packs.train_epoch(lambda packed: packed is one)] == [one]
    assert (one.epoch, two.epoch, other.epoch) == (3, 2, 1)
    assert packs.train_epoch(lambda packed: False) == []


def test_job_leaves_with_its_last_row_or_when_asked_and_may_come_again(images):
    packs = Packs()
    first = packs.join(spec(0, epochs=1), images)
    second = packs.join(spec(1), images)
    pack = first.pack
    packs.train_epoch()
    assert first.done and pack.keys() == second.keys
    packs.leave(second)
    packs.leave(second)
    assert pack.keys() == []
    again = packs.join(spec(1), images)
    assert again.pack is not pack and again.epoch == 0


def test_job_that_does_not_come_in_leaves_nothing_behind(images):
    packs = Packs()
    with pytest.raises(ValueError, match="epochs: expected 1 or more; got 0"):
        packs.join(spec(0, epochs=0), images)
    packed = packs.join(spec(0, seeds=(1, 2)), images)
    with pytest.raises(ValueError, match="already in the pack"):
        packs.join(spec(0, seeds=(3, 2)), images)
    assert packed.pack.keys() == packed.keys


def buffers(workspaces: Workspaces, images: torch.Tensor) -> int:
    """Bytes of all distinct tensors that a pack's steps compute in."""
    found, queue = {}, [*workspaces._workspaces.values(), *workspaces._gradients.values()]
    while queue:
        item = queue.pop()
        if isinstance(item, torch.Tensor):
            found[item.untyped_storage().data_ptr()] = item.untyped_storage().nbytes()
        elif isinstance(item, dict):
            queue += item.values()
        elif isinstance(item, list):
            queue += item
        elif type(item).__module__.startswith("aesweep.training"):
            queue += vars(item).values()
    return sum(found.values())


@pytest.mark.parametrize("num_images", [60, 64, 10])
@pytest.mark.parametrize("hidden_layers", [(), (12,), (30, 12, 8)])
@pytest.mark.parametrize("num_members", [1, 3])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_memory_that_is_counted_is_memory_that_is_held(num_images, hidden_layers, num_members, bfloat16, monkeypatch):
    monkeypatch.setattr("aesweep.training.pack.has_bfloat16_products", lambda device: True)
    pixels = np.random.default_rng(5).integers(0, 256, (num_images, 40), dtype=np.uint8)
    configuration = dataclasses.replace(BASE, hidden_layers=hidden_layers, dropout=0.1, noise_variance=0.1)
    pack = Pack(pixels, members_per_step=num_members, precision="bf16" if bfloat16 else "fp32")
    for number in range(num_members):
        pack.add(str(number), configuration, seed=number, epochs=1)
    pack.train_epoch()
    memory = pack_memory(Dense(40, hidden_layers, 3), num_images, 16, bfloat16_products=bfloat16)
    state = sum(t.nbytes for t in dataclasses.astuple(pack.export("0"))[:3])
    assert memory.images_bytes == pack.images.nbytes
    assert memory.member_bytes == state
    # Beside the buffers: the copy of a state that a failed epoch goes back to, and the order of the images.
    expected = buffers(pack._workspaces, pack.images) + num_members * (state + 8 * num_images)
    assert num_members * memory.step_bytes == expected
    judged = [np.zeros((number, 40), dtype=np.float32) for number in (7, 5)]
    for clean in judged:
        pack.per_image_mse(pack.keys(), clean, np.zeros_like(clean))
    held = pack._judge.num_bytes
    assert pack_memory(Dense(40, hidden_layers, 3), num_images, 16, 12).images_bytes == pack.images.nbytes + held


@pytest.mark.parametrize("members_that_fit", [1, 2, 3])
def test_pack_that_would_not_fit_is_split_and_gives_the_same_rows(images, monkeypatch, members_that_fit):
    lock_step(monkeypatch)
    specs = [spec(number, own(number)) for number in range(5)]
    whole = Packs()
    expected = train(whole, [whole.join(found, images) for found in specs])
    sizes = []
    original = Stack.train_epoch
    monkeypatch.setattr(Stack, "train_epoch", lambda s, *a: sizes.append(len(s.members)) or original(s, *a))
    memory = pack_memory(Dense(16, BASE.hidden_layers, BASE.latent_dim), 48, 16, 60, CPU_PAIRS)
    packs = Packs(memory_bytes=memory.needed(5, members_that_fit))
    found = train(packs, [packs.join(found, images) for found in specs])
    assert max(sizes) == members_that_fit
    for trial, rows in expected.items():
        for row, other in zip(rows, found[trial], strict=True):
            assert numbers(row) == pytest.approx(numbers(other), rel=1e-10)


def test_job_that_has_no_room_even_alone_is_refused_and_the_others_stay(images):
    memory = pack_memory(Dense(16, BASE.hidden_layers, BASE.latent_dim), 48, 16, 60, CPU_PAIRS)
    packs = Packs(memory_bytes=memory.needed(1, 1))
    packed = packs.join(spec(0), images)
    with pytest.raises(MemoryError, match=r"stage-tiny-0001: the device has .* set a smaller resources"):
        packs.join(spec(1), images)
    assert len(train(packs, [packed])["stage-tiny-0000"]) == EPOCHS
    assert packs.join(spec(1), images).epoch == 0


def test_job_that_has_no_room_leaves_the_packs_that_stay_the_room_that_they_had(images):
    memory = pack_memory(Dense(16, BASE.hidden_layers, BASE.latent_dim), 48, 16, 60, CPU_PAIRS)
    packs = Packs(memory_bytes=memory.needed(1, 4))
    pack = packs.join(spec(0), images).pack
    assert pack._limit == 4
    with pytest.raises(MemoryError):
        packs.join(spec(1, dataclasses.replace(BASE, hidden_layers=(4_000,))), images)
    assert pack._limit == 4


@pytest.mark.parametrize("step", [0, 2])
@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("limit", [1, 2, 4])
def test_memory_that_runs_out_halves_the_pack_and_costs_no_job_anything(images, monkeypatch, step, epoch, limit):
    """The error comes in the middle of an epoch, after some steps, wherever more than `limit` go in lock-step."""
    lock_step(monkeypatch)
    specs = [spec(number, own(number)) for number in range(5)]
    whole = Packs()
    expected = train(whole, [whole.join(found, images) for found in specs])
    original = Stack._update

    def update(stack, steps_per_epoch):
        original(stack, steps_per_epoch)
        member = stack.members[0]
        at = (member.epoch, member.step - member.epoch * steps_per_epoch)
        if len(stack.members) > limit and at == (epoch, step + 1):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    monkeypatch.setattr(stack_module.Stack, "_update", update)
    packs = Packs()
    found = train(packs, [packs.join(found, images) for found in specs])
    told = [
        (row.pop("members_per_step"), row.pop("memory_reason"))
        for rows in found.values()
        for row in rows
        if row["members_per_step"]
    ]
    # Five, three, two, one: each half is rounded up.
    reason = "CUDA out of memory. Tried to allocate 2.00 GiB."
    assert told == [({1: 1, 2: 2, 4: 3}[limit], reason)]
    for trial, rows in expected.items():
        for row, other in zip(rows, found[trial], strict=True):
            assert numbers(row) == pytest.approx(numbers(other), rel=1e-10)


def test_member_for_which_there_is_no_memory_even_alone_fails_with_its_reason(images, monkeypatch):
    stacks = []

    def update(stack, steps_per_epoch):
        stacks.append(weakref.ref(stack))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    packs = Packs()
    packed = packs.join(spec(0), images)
    monkeypatch.setattr(stack_module.Stack, "_update", update)
    ((failed, error),) = packs.train_epoch()
    assert failed is packed and isinstance(error, torch.OutOfMemoryError)
    assert packed.pack.keys() == []
    gc.collect()
    assert stacks[0]() is None  # the error keeps nothing of it, wherever it goes
    assert traceback.extract_tb(error.__traceback__)[-1].name == "update"

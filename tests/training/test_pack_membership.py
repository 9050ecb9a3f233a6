"""A member learns the same alone, in company, across an export, and beside a member that goes to pieces."""

import dataclasses

import numpy as np
import pytest
import torch

from aesweep.study.configuration import Configuration
from aesweep.training.pack import MemberState, Pack
from tests.training.plain_training import some_images

IMAGES = some_images(150, 36)
BASE = Configuration(hidden_layers=(20, 10), latent_dim=4, batch_size=32, learning_rate=2e-3)
EPOCHS = 5


def configuration_of(index: int) -> Configuration:
    """One of seven that differ in all that a pack's members may differ in."""
    own = [
        {},
        {"dropout": 0.25},
        {"l1": 1e-4, "learning_rate": 5e-3},
        {"noise_variance": 0.2, "schedule": "cosine"},
        {"l2": 1e-3, "sparse_code": 1e-3},
        {"weight_decay": 0.1, "schedule": "constant"},
        {"dropout": 0.1, "noise_variance": 0.1, "l1": 1e-5, "l2": 1e-5},
    ]
    return dataclasses.replace(BASE, **own[index % len(own)])


def train_alone(index: int, epochs: int = EPOCHS, dtype: torch.dtype = torch.float32) -> tuple[list, MemberState]:
    pack = Pack(IMAGES, dtype=dtype)
    pack.add("alone", configuration_of(index), seed=index, epochs=EPOCHS)
    losses = [pack.train_epoch()["alone"].loss for _ in range(epochs)]
    return losses, pack.export("alone")


def assert_same_bits(got: MemberState, expected: MemberState) -> None:
    assert (got.step, got.epoch) == (expected.step, expected.epoch)
    for name in ("parameters", "moment1", "moment2"):
        assert torch.equal(getattr(got, name), getattr(expected, name)), name


@pytest.mark.parametrize("hidden_layers", [(), (20, 10), (33, 17, 8)])
@pytest.mark.parametrize("num_members", [1, 2, 7, 32])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_member_of_a_pack_has_the_bits_of_one_alone(num_members, dtype, hidden_layers):
    def configuration(index: int) -> Configuration:
        return dataclasses.replace(configuration_of(index), hidden_layers=hidden_layers)

    def train(indices: range) -> dict[str, tuple[list, MemberState]]:
        pack = Pack(IMAGES, dtype=dtype)
        for index in indices:
            pack.add(str(index), configuration(index), seed=100 + index, epochs=2)
        losses = [pack.train_epoch() for _ in range(2)]
        return {
            str(i): ([epoch[str(i)].step_losses.tolist() for epoch in losses], pack.export(str(i))) for i in indices
        }

    together = train(range(num_members))
    for index in range(num_members):
        losses, state = train(range(index, index + 1))[str(index)]
        assert together[str(index)][0] == losses
        assert_same_bits(together[str(index)][1], state)


@pytest.mark.parametrize("num_members", [2, 7, 32])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_thirty_steps_in_lock_step_are_those_of_a_member_alone(num_members, dtype, tolerance):
    images = some_images(30 * BASE.batch_size, 36)

    def step_losses(indices: range) -> dict[str, torch.Tensor]:
        pack = Pack(images, dtype=dtype, members_per_step=len(indices))
        for index in indices:
            pack.add(str(index), configuration_of(index), seed=index, epochs=2)
        return {key: result.step_losses for key, result in pack.train_epoch().items()}

    together = step_losses(range(num_members))
    for index in range(num_members):
        alone = step_losses(range(index, index + 1))[str(index)]
        assert len(alone) == 30
        torch.testing.assert_close(together[str(index)], alone, rtol=tolerance, atol=0)


def test_members_of_the_published_widths_have_the_bits_of_ones_alone():
    """Large matrices take other code in the linear algebra library than small ones."""
    images = some_images(300, 784)
    configuration = Configuration(hidden_layers=(512, 128), latent_dim=100, batch_size=128, dropout=0.1)

    def train(seeds: list[int]) -> dict[str, torch.Tensor]:
        pack = Pack(images)
        for seed in seeds:
            pack.add(str(seed), configuration, seed=seed, epochs=2)
        pack.train_epoch()
        pack.train_epoch()
        return {key: pack.export(key).parameters for key in pack.keys()}  # noqa: SIM118 - a pack is no dictionary

    together = train([0, 1, 2])
    for seed in (0, 1, 2):
        assert torch.equal(train([seed])[str(seed)], together[str(seed)])


@pytest.mark.parametrize("members_per_step", [1, 2, None])
def test_joining_and_leaving_changes_nobody_else(members_per_step):
    """With one at a time, to the bit; in lock-step, in float64, to 1e-10."""
    lock_step = members_per_step != 1
    dtype = torch.float64 if lock_step else torch.float32
    # On a CPU None means one at a time as well; 100 stands for all.
    pack = Pack(IMAGES, dtype=dtype, members_per_step=members_per_step or 100)
    losses = {str(index): [] for index in range(5)}

    def train() -> None:
        for key, result in pack.train_epoch().items():
            losses[key].append(result.loss)

    def add(index: int) -> None:
        pack.add(str(index), configuration_of(index), seed=index, epochs=EPOCHS)

    for index in (0, 1, 2):
        add(index)
    train()
    pack.remove("1")
    add(3)
    train()
    add(4)
    pack.remove("0")
    for _ in range(EPOCHS):
        train()
    assert {key: len(values) for key, values in losses.items()} == {"0": 2, "1": 1, "2": 5, "3": 5, "4": 5}
    for index in range(5):
        expected, state = train_alone(index, epochs=EPOCHS, dtype=dtype)
        got = losses[str(index)]
        tolerance = 1e-10 if lock_step else 0
        np.testing.assert_allclose(got, expected[: len(got)], rtol=tolerance, atol=0)
        if index >= 2:
            exported = pack.export(str(index))
            torch.testing.assert_close(exported.parameters, state.parameters, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("index", range(7))
@pytest.mark.parametrize("members_per_step", [1, 2, 7])
def test_going_on_from_an_export_equals_going_straight_on(index, members_per_step):
    expected, state = train_alone(index, dtype=torch.float64)
    first = Pack(IMAGES, dtype=torch.float64)
    first.add("a", configuration_of(index), seed=index, epochs=EPOCHS)
    losses = [first.train_epoch()["a"].loss for _ in range(2)]
    second = Pack(IMAGES, dtype=torch.float64, members_per_step=members_per_step)
    for other in range(1, max(2, members_per_step)):
        second.add(f"other {other}", configuration_of(index + other), seed=99, epochs=EPOCHS)
    second.train_epoch()
    second.add("b", configuration_of(index), seed=index, epochs=EPOCHS, state=first.export("a"))
    losses += [second.train_epoch()["b"].loss for _ in range(EPOCHS - 2)]
    if members_per_step == 1:
        assert losses == expected
        assert_same_bits(second.export("b"), state)
    else:
        np.testing.assert_allclose(losses, expected, rtol=1e-10)


def test_an_export_is_a_copy_in_both_directions():
    pack = Pack(IMAGES)
    pack.add("a", BASE, seed=0, epochs=EPOCHS)
    pack.train_epoch()
    state = pack.export("a")
    before = state.parameters.clone()
    pack.train_epoch()
    assert torch.equal(state.parameters, before)
    pack.add("b", BASE, seed=0, epochs=EPOCHS, state=state)
    pack.train_epoch()
    assert torch.equal(state.parameters, before)
    assert not torch.equal(pack.export("b").parameters, before)


@pytest.mark.parametrize("members_per_step", [1, 3])
def test_a_member_that_diverges_is_marked_and_its_neighbours_do_not_notice(members_per_step):
    pack = Pack(IMAGES, dtype=torch.float64, members_per_step=members_per_step)
    wild = dataclasses.replace(BASE, learning_rate=1e200, output="sigmoid", schedule="constant")
    for key, configuration in (("0", configuration_of(0)), ("wild", wild), ("1", configuration_of(1))):
        pack.add(key, configuration, seed=0 if key == "wild" else int(key), epochs=EPOCHS)
    epochs = [pack.train_epoch() for _ in range(EPOCHS)]
    diverged = next(number for number, epoch in enumerate(epochs) if epoch["wild"].diverged)
    assert diverged < EPOCHS - 1
    # It stays in the pack, but trains no more.
    assert all("wild" not in epoch for epoch in epochs[diverged + 1 :])
    assert "wild" in pack.keys()  # noqa: SIM118 - a pack is no dictionary
    for index in (0, 1):
        expected, _ = train_alone(index, dtype=torch.float64)
        got = [epoch[str(index)] for epoch in epochs]
        assert not any(result.diverged for result in got)
        np.testing.assert_allclose([result.loss for result in got], expected, rtol=1e-10)


def test_a_member_trains_as_many_epochs_as_it_was_given():
    pack = Pack(IMAGES)
    pack.add("short", BASE, seed=0, epochs=1)
    pack.add("long", BASE, seed=0, epochs=2)
    assert [list(pack.train_epoch()) for _ in range(3)] == [["short", "long"], ["long"], []]


def test_members_must_share_what_a_pack_shares():
    pack = Pack(IMAGES)
    pack.add("a", BASE, seed=0, epochs=1)
    for field, value in {
        "hidden_layers": (20, 11),
        "latent_dim": 5,
        "activation": "relu",
        "output": "linear",
        "batch_size": 64,
    }.items():
        with pytest.raises(ValueError, match=f"share {field}: a has .* b has .*") as caught:
            pack.add("b", dataclasses.replace(BASE, **{field: value}), seed=0, epochs=1)
        assert str(value) in str(caught.value)
    assert pack.keys() == ["a"]
    pack.remove("a")
    pack.add("b", dataclasses.replace(BASE, latent_dim=5), seed=0, epochs=1)
    assert pack.encode("b", IMAGES / 255).shape == (150, 5)


def test_a_key_can_be_used_again_after_its_member_left():
    pack = Pack(IMAGES)
    pack.add("a", configuration_of(1), seed=1, epochs=EPOCHS)
    pack.train_epoch()
    with pytest.raises(ValueError, match="a: already in the pack"):
        pack.add("a", configuration_of(1), seed=1, epochs=EPOCHS)
    pack.remove("a")
    with pytest.raises(KeyError):
        pack.remove("a")
    pack.add("a", configuration_of(0), seed=0, epochs=EPOCHS)
    expected, _ = train_alone(0)
    assert [pack.train_epoch()["a"].loss for _ in range(EPOCHS)] == expected


def test_images_and_states_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"expected uint8 \[N, D\].*float32"):
        Pack(IMAGES.astype(np.float32))
    with pytest.raises(ValueError, match=r"expected uint8 \[N, D\]"):
        Pack(IMAGES[:0])
    with pytest.raises(ValueError, match="members_per_step: expected 1 or more; got 0"):
        Pack(IMAGES, members_per_step=0)
    _, state = train_alone(0)
    pack = Pack(IMAGES)
    with pytest.raises(ValueError, match=r"a: state.parameters: expected shape"):
        pack.add("a", dataclasses.replace(BASE, latent_dim=40), seed=0, epochs=1, state=state)
    with pytest.raises(ValueError, match="a: epochs: expected 1 or more; got 0"):
        pack.add("a", BASE, seed=0, epochs=0)
    assert pack.keys() == []


@pytest.mark.filterwarnings("error")
def test_read_only_images_are_taken_without_a_warning():
    images = IMAGES.copy()
    images.flags.writeable = False
    pack = Pack(images)
    pack.add("a", configuration_of(0), seed=0, epochs=EPOCHS)
    expected, _ = train_alone(0)
    assert pack.train_epoch()["a"].loss == expected[0]


def test_a_group_in_lock_step_holds_one_copy_of_its_members():
    """After members leave, what remains does not keep the old stack's memory."""
    pack = Pack(IMAGES, members_per_step=3)
    for index in range(3):
        pack.add(str(index), configuration_of(index), seed=index, epochs=EPOCHS)
    pack.train_epoch()
    pack.remove("0")
    pack.remove("1")
    pack.train_epoch()
    parameters = pack._members["2"].parameters
    assert parameters.untyped_storage().nbytes() == parameters.nbytes

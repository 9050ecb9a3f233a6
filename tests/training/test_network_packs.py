"""Families that autograd trains, in packs: against plain PyTorch, alone and stacked, straight and resumed."""

import dataclasses

import numpy as np
import pytest
import torch

from aesweep.study.configuration import Configuration
from aesweep.training.engine.gpu.lock_step import LockStepStack
from aesweep.training.engine.member import architecture_of
from aesweep.training.engine.randomness import epoch_order, stream
from aesweep.training.pack import Pack
from tests.training.plain_training import some_images, train_plainly

SHAPE = (2, 7, 6)  # sides that halve unevenly, and more than one channel
CONVOLUTIONAL = Configuration(
    family="convolutional", channels=(5, 4), hidden_layers=(), kernel_size=3, latent_dim=3, batch_size=16
)
VARIANTS = {
    "convolutional": {},
    "four by four": {"channels": (5,), "kernel_size": 4, "hidden_layers": (11,)},
    "normalized": {"normalization": "layer", "activation": "silu"},
    "penalized": {"l1": 1e-5, "l2": 1e-4, "weight_decay": 0.02, "sparse_code": 1e-3, "schedule": "cosine"},
    "dropped": {"dropout": 0.2, "noise_variance": 0.1},
    "linear output": {"output": "linear", "activation": "tanh", "initialization": "uniform"},
    "variational": {"code": "variational", "beta": 0.3},
    "bernoulli": {"code": "variational", "likelihood": "bernoulli", "noise_variance": 0.1},
    "dense variational": {
        **{"family": "dense", "channels": (), "kernel_size": 4, "hidden_layers": (12, 7), "code": "variational"},
        **{"dropout": 0.1, "l2": 1e-4, "sparse_code": 1e-3},
    },
    "dense bernoulli": {
        **{"family": "dense", "channels": (), "kernel_size": 4, "hidden_layers": (12,), "likelihood": "bernoulli"}
    },
}


def configuration_of(variant: str, **values: object) -> Configuration:
    return dataclasses.replace(CONVOLUTIONAL, **{**VARIANTS[variant], **values})


def trained(images: np.ndarray, members: dict[str, Configuration], epochs: int, **options: object) -> Pack:
    pack = Pack(images, image_shape=SHAPE, **options)
    for seed, (key, configuration) in enumerate(members.items()):
        pack.add(key, configuration, seed=seed, epochs=epochs)
    return pack


def losses_of(pack: Pack, epochs: int) -> dict[str, list[float]]:
    losses: dict[str, list[float]] = {}
    for _ in range(epochs):
        for key, result in pack.train_epoch().items():
            losses.setdefault(key, []).extend(result.step_losses.tolist())
    return losses


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("variant", VARIANTS)
def test_training_equals_a_plain_module_with_autograd_and_adam(variant, dtype):
    configuration = configuration_of(variant)
    images = some_images(16 * 15 - 5, 84)  # the last batch is smaller
    got = losses_of(trained(images, {"a": configuration}, 2, dtype=dtype), 2)["a"]
    expected, _, _ = train_plainly(images, configuration, seed=0, epochs=2, dtype=dtype, image_shape=SHAPE)
    assert len(got) == len(expected) == 30
    np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == torch.float32 else 1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_lock_step_by_vmap_equals_one_member_at_a_time(variant):
    images = some_images(70, 84)
    members = {
        "a": configuration_of(variant, learning_rate=1e-3),
        "b": configuration_of(variant, l2=1e-4, beta=0.1),
        "c": configuration_of(variant, sparse_code=0.0),
    }
    alone = losses_of(trained(images, members, 2, dtype=torch.float64), 2)
    stacked = losses_of(trained(images, members, 2, dtype=torch.float64, members_per_step=3), 2)
    for key, expected in alone.items():
        np.testing.assert_allclose(stacked[key], expected, rtol=1e-10, err_msg=key)


@pytest.mark.parametrize("variant", ["four by four", "normalized", "penalized", "linear output", "dense bernoulli"])
def test_lock_step_by_operations_on_all_members_equals_one_at_a_time(variant):
    images = some_images(70, 84)
    members = {"a": configuration_of(variant, l2=1e-4), "b": configuration_of(variant, learning_rate=1e-3)}
    alone = losses_of(trained(images, members, 2, dtype=torch.float64), 2)
    stacked = losses_of(trained(images, members, 2, dtype=torch.float64, members_per_step=2, lock_step=True), 2)
    for key, expected in alone.items():
        np.testing.assert_allclose(stacked[key], expected, rtol=1e-10, err_msg=key)


@pytest.mark.parametrize("variant", ["dropped", "variational", "dense variational"])
def test_lock_step_draws_the_same_for_a_member_whoever_shares_its_step(variant):
    images = some_images(70, 84)
    mine = {"a": configuration_of(variant)}
    options = {"dtype": torch.float64, "lock_step": True}
    alone = losses_of(trained(images, mine, 2, **options), 2)["a"]
    members = {**mine, "b": configuration_of(variant, learning_rate=1e-3)}
    shared = losses_of(trained(images, members, 2, members_per_step=2, **options), 2)["a"]
    np.testing.assert_allclose(shared, alone, rtol=1e-10)


@pytest.mark.parametrize("num_members", [1, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_captured_steps_are_to_the_bit_those_that_are_called(variant, num_members, captured, monkeypatch):
    images = some_images(70, 84)
    members = {str(k): configuration_of(variant, learning_rate=1e-3 * (k + 1)) for k in range(num_members)}
    options = {"lock_step": True, "members_per_step": num_members}
    losses = losses_of(trained(images, members, 3, **options), 3)
    assert [replay.calls for replay in captured] == [3 * 4 - 1]  # all but the first and the smaller ones
    monkeypatch.setattr(LockStepStack, "capture", {})
    assert losses_of(trained(images, members, 3, **options), 3) == losses


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_member_learns_the_same_to_the_bit_whoever_joins_and_leaves(variant):
    images = some_images(50, 84)
    mine = configuration_of(variant)
    alone = trained(images, {"a": mine}, 4)
    expected = losses_of(alone, 4)["a"]
    shared = trained(images, {"a": mine, "b": configuration_of(variant, learning_rate=5e-3)}, 4)
    got = losses_of(shared, 2)["a"]
    shared.remove("b")
    shared.add("c", configuration_of(variant, l1=1e-5), seed=9, epochs=4)
    got += losses_of(shared, 2)["a"]
    assert got == expected
    assert torch.equal(shared.export("a").parameters, alone.export("a").parameters)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_resumed_member_goes_on_to_the_bit(variant):
    images = some_images(50, 84)
    configuration = configuration_of(variant)
    straight = trained(images, {"a": configuration}, 4)
    expected = losses_of(straight, 4)["a"]
    first = trained(images, {"a": configuration}, 4)
    got = losses_of(first, 2)["a"]
    second = Pack(images, image_shape=SHAPE)
    second.add("a", configuration, seed=0, epochs=4, state=first.export("a"))
    assert got + losses_of(second, 2)["a"] == expected


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_a_pack_evaluates_is_what_the_plain_module_gives(variant):
    images = some_images(40, 84)
    configuration = configuration_of(variant)
    pack = trained(images, {"a": configuration, "b": configuration}, 1, dtype=torch.float64)
    pack.train_epoch()
    module = architecture_of(configuration, SHAPE).as_module(pack.export("a").parameters).double()
    inputs = torch.from_numpy(images[:9] / 255)
    with torch.no_grad():
        torch.testing.assert_close(pack.reconstruct("a", inputs), module(inputs), rtol=1e-10, atol=1e-12)
    assert pack.encode("a", inputs).shape == (9, 3)


def test_the_loss_of_a_variational_member_is_its_evidence_lower_bound():
    # At beta = 1, D times the loss is the negative bound; here it is written down for the first step.
    configuration = configuration_of("bernoulli", noise_variance=0.0, batch_size=40)
    images = some_images(40, 84)
    pack = trained(images, {"a": configuration}, 1, dtype=torch.float64)
    architecture = architecture_of(configuration, SHAPE)
    start = pack.export("a").parameters
    loss = pack.train_epoch()["a"].step_losses[0].item()
    clean = torch.from_numpy(images).double()[epoch_order(0, 1, 40)] / 255
    views = architecture.layout.views(start)
    draws = torch.empty(40, 3, dtype=torch.float64).normal_(generator=stream(0, "code", 1))
    terms = architecture.forward(views, clean, None, draws)
    pixels = torch.sigmoid(terms.natural)
    likelihood = (clean * pixels.log() + (1 - clean) * (1 - pixels).log()).sum()
    bound = (likelihood - terms.divergence.sum()) / 40
    assert -bound.item() / 84 == pytest.approx(loss, rel=1e-10)


def test_members_of_two_families_cannot_share_a_pack():
    pack = trained(some_images(20, 84), {"a": CONVOLUTIONAL}, 1)
    with pytest.raises(ValueError, match=r"members of a pack share channels: a has \(5, 4\), b has \(6,\)"):
        pack.add("b", dataclasses.replace(CONVOLUTIONAL, channels=(6,)), seed=0, epochs=1)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no bfloat16 on this CPU")
def test_bfloat16_learns_what_float32_learns():
    images = some_images(320, 84)
    configuration = configuration_of("convolutional", channels=(16, 16), learning_rate=5e-3)
    ends = {}
    for precision in ("fp32", "bf16"):
        pack = trained(images, {"a": configuration}, 8, precision=precision)
        ends[precision] = [pack.train_epoch()["a"].reconstruction_mse for _ in range(8)][-1]
    assert ends["bf16"] == pytest.approx(ends["fp32"], rel=0.05)

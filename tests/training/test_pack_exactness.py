"""What a pack trains is what plain PyTorch trains: same weights, batches, noise and masks, same losses."""

import dataclasses

import numpy as np
import pytest
import torch

from aesweep.models.dense import Dense
from aesweep.study.configuration import Configuration
from aesweep.training.pack import Pack
from tests.training.plain_training import some_images, train_plainly

PLAIN = Configuration(hidden_layers=(24, 12), latent_dim=5, batch_size=16, learning_rate=3e-3)
VARIANTS = {
    "none": {},
    "l1": {"l1": 1e-4},
    "l2": {"l2": 1e-3},
    "l1_l2": {"l1": 1e-4, "l2": 1e-3},
    "weight_decay": {"weight_decay": 0.1},
    "dropout": {"dropout": 0.2},
    "sparse_code": {"sparse_code": 1e-3},
    "noise": {"noise_variance": 0.2},
    "all": {
        **{"l1": 1e-5, "l2": 1e-4, "weight_decay": 0.02, "dropout": 0.1, "sparse_code": 1e-3, "noise_variance": 0.1},
        **{"activation": "tanh", "output": "linear", "schedule": "cosine"},
    },
}


def step_losses(pack: Pack, epochs: int) -> dict[str, list[float]]:
    losses = {key: [] for key in pack.keys()}  # noqa: SIM118 - a pack is no dictionary
    for _ in range(epochs):
        for key, result in pack.train_epoch().items():
            losses[key].extend(result.step_losses.tolist())
    return losses


@pytest.mark.parametrize("variant", VARIANTS)
def test_thirty_steps_in_float32_equal_a_plain_loop(variant):
    configuration = dataclasses.replace(PLAIN, **VARIANTS[variant])
    images = some_images(30 * configuration.batch_size, 40)
    pack = Pack(images)
    pack.add("a", configuration, seed=3, epochs=2)
    got = step_losses(pack, 1)["a"]
    expected, _, _ = train_plainly(images, configuration, seed=3, epochs=2, dtype=torch.float32, max_steps=30)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_thirty_steps_of_the_published_widths_in_float32_equal_a_plain_loop():
    configuration = Configuration(hidden_layers=(512, 128), latent_dim=100, batch_size=64)
    images = some_images(30 * 64, 784)
    pack = Pack(images)
    pack.add("a", configuration, seed=0, epochs=3)
    expected, _, _ = train_plainly(images, configuration, seed=0, epochs=3, dtype=torch.float32, max_steps=30)
    np.testing.assert_allclose(step_losses(pack, 1)["a"], expected, rtol=1e-5)


@pytest.mark.parametrize("members_per_step", [1, 3, None])
@pytest.mark.parametrize("batch_size", [16, 50, 500])
def test_whole_trainings_in_float64_equal_plain_loops_in_any_lock_step(members_per_step, batch_size):
    images = some_images(203, 40)  # the last batch is smaller
    pack = Pack(images, dtype=torch.float64, members_per_step=members_per_step)
    expected = {}
    for seed, (variant, values) in enumerate(VARIANTS.items()):
        shared = {"activation": "gelu", "output": "sigmoid", "batch_size": batch_size}
        configuration = dataclasses.replace(PLAIN, **{**values, **shared})
        pack.add(variant, configuration, seed=seed, epochs=3)
        expected[variant] = train_plainly(images, configuration, seed=seed, epochs=3, dtype=torch.float64)
    got = step_losses(pack, 3)
    for variant, (losses, _, model) in expected.items():
        # The sign of a weight near zero is a matter of rounding: L1 cannot be held as closely.
        tolerance = 1e-8 if "l1" in VARIANTS[variant] else 1e-10
        np.testing.assert_allclose(got[variant], losses, rtol=tolerance, err_msg=variant)
        architecture = Dense(40, PLAIN.hidden_layers, PLAIN.latent_dim)
        parameters = pack.export(variant).parameters
        torch.testing.assert_close(parameters, architecture.as_parameters(model), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("activation", ["gelu", "relu", "silu", "tanh"])
@pytest.mark.parametrize("output", ["sigmoid", "linear"])
@pytest.mark.parametrize("hidden_layers", [(), (20,), (20, 10, 8)])
def test_every_activation_output_and_depth_equals_a_plain_loop(activation, output, hidden_layers):
    configuration = dataclasses.replace(
        PLAIN, activation=activation, output=output, hidden_layers=hidden_layers, dropout=0.3, sparse_code=1e-3
    )
    images = some_images(100, 30)
    expected, _, model = train_plainly(images, configuration, seed=1, epochs=2, dtype=torch.float64)
    pack = Pack(images, dtype=torch.float64)
    pack.add("a", configuration, seed=1, epochs=2)
    np.testing.assert_allclose(step_losses(pack, 2)["a"], expected, rtol=1e-10)
    inputs = torch.rand(7, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pack.reconstruct("a", inputs), model.double()(inputs).detach(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_an_epoch_reports_its_mean_losses_and_its_last_learning_rate(schedule):
    configuration = dataclasses.replace(PLAIN, schedule=schedule, l2=1e-3)
    images = some_images(50, 40)
    losses, rates, _ = train_plainly(images, configuration, seed=0, epochs=2, dtype=torch.float64)
    pack = Pack(images, dtype=torch.float64)
    pack.add("a", configuration, seed=0, epochs=2)
    shares = np.array([16, 16, 16, 2]) / 50
    for epoch in (1, 2):
        result = pack.train_epoch()["a"]
        assert result.epoch == epoch
        assert not result.diverged
        assert result.loss == pytest.approx(np.dot(losses[4 * epoch - 4 : 4 * epoch], shares), rel=1e-10)
        assert result.learning_rate == pytest.approx(rates[4 * epoch - 1], rel=1e-10)
        assert 0 < result.reconstruction_mse < result.loss


def test_the_first_loss_without_its_penalties_is_the_reconstruction_error():
    images = some_images(16, 40)
    results = {}
    for l1 in (0.0, 0.5):
        pack = Pack(images, dtype=torch.float64)
        pack.add("a", dataclasses.replace(PLAIN, l1=l1), seed=0, epochs=1)
        results[l1] = pack.train_epoch()["a"]
    assert results[0.5].reconstruction_mse == results[0.0].reconstruction_mse == results[0.0].loss
    assert results[0.5].loss > results[0.5].reconstruction_mse


def test_a_code_is_what_the_encoder_half_of_the_model_gives():
    configuration = PLAIN
    images = some_images(1200, 40)  # more than one chunk of evaluation
    pack = Pack(images, dtype=torch.float64)
    pack.add("a", configuration, seed=2, epochs=1)
    pack.train_epoch()
    _, _, model = train_plainly(images, configuration, seed=2, epochs=1, dtype=torch.float64)
    inputs = torch.from_numpy(images / 255)
    encoder = model[:5]  # three Linear layers with two activations between
    assert pack.encode("a", inputs).shape == (1200, 5)
    torch.testing.assert_close(pack.encode("a", inputs), encoder(inputs).detach(), rtol=1e-8, atol=1e-10)

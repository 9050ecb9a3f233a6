"""Matrix products of bfloat16 roundings: how far they are off, what they leave alone, and where they are used."""

import contextlib
import dataclasses

import numpy as np
import pytest
import torch

from aesweep.models.dense import Dense
from aesweep.study.configuration import Configuration
from aesweep.training.engine.precision import has_bfloat16_products
from aesweep.training.engine.products import Bfloat16Products, PlainProducts
from aesweep.training.pack import Pack
from tests.training.plain_training import some_images

# Half the distance of neighbouring bfloat16 numbers, relative to them at most: 8 significant bits.
ROUNDING = 2**-8
CONFIGURATION = Configuration(hidden_layers=(64, 32), latent_dim=16, batch_size=32, learning_rate=2e-3)
IMAGES = some_images(1000, 100)

needs_bfloat16 = pytest.mark.skipif(not has_bfloat16_products(), reason="needs a CPU with AVX512_BF16 or AMX")


def rounded(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.bfloat16().double()


def assert_rounded_once(got: torch.Tensor, exact: torch.Tensor, size: torch.Tensor) -> None:
    """`got` is `exact` rounded to bfloat16, but for errors of a float32 sum of terms of `size` in all."""
    assert got.dtype == torch.float32
    assert ((got - exact).abs() <= 1.01 * ROUNDING * exact.abs() + 1e-6 * size).all()


@needs_bfloat16
@pytest.mark.parametrize("num_models", [1, 3])
@pytest.mark.parametrize("batch", [1, 9, 128])
def test_products_are_those_of_rounded_factors_rounded_once(num_models, batch):
    architecture = Dense(50, (40, 30), 7)
    generator = torch.Generator().manual_seed(batch)
    prefix = () if num_models == 1 else (num_models,)
    parameters = torch.randn(*prefix, architecture.layout.num_elements, generator=generator)
    layers = architecture.layers(parameters)
    products = Bfloat16Products(architecture, num_models, batch, "cpu")
    # All layers forward before any goes back, as in training: what forward keeps must survive the others.
    given = []
    for index, layer in enumerate(layers):
        vectors = torch.randn(*prefix, batch, layer.weight.shape[-2], generator=generator)
        out = torch.full((*prefix, batch, layer.bias.shape[-1]), torch.nan)
        products.forward(index, vectors, layer, out)
        exact = rounded(vectors) @ rounded(layer.weight)
        size = vectors.abs() @ layer.weight.abs() + layer.bias.unsqueeze(-2).abs()
        # The bias itself is added in float32, after the rounding.
        assert_rounded_once((out.double() - layer.bias.unsqueeze(-2)).float(), exact, size)
        given.append(vectors)
    for index, (layer, vectors) in reversed(list(enumerate(zip(layers, given, strict=True)))):
        error = torch.randn(*prefix, batch, layer.bias.shape[-1], generator=generator)
        gradient = torch.full_like(layer.weight, torch.nan)
        vectors_error = torch.full_like(vectors, torch.nan) if index else None
        products.backward(index, vectors, layer, error, gradient, vectors_error)
        assert_rounded_once(gradient, rounded(vectors).mT @ rounded(error), vectors.abs().mT @ error.abs())
        if index:
            exact = rounded(error) @ rounded(layer.weight).mT
            assert_rounded_once(vectors_error, exact, error.abs() @ layer.weight.abs().mT)


@pytest.mark.parametrize("num_models", [1, 3])
def test_plain_products_are_those_of_the_factors(num_models):
    architecture = Dense(11, (), 4)
    generator = torch.Generator().manual_seed(0)
    prefix = () if num_models == 1 else (num_models,)
    parameters = torch.randn(*prefix, architecture.layout.num_elements, generator=generator, dtype=torch.float64)
    layer = architecture.layers(parameters)[0]
    vectors = torch.randn(*prefix, 6, 11, generator=generator, dtype=torch.float64)
    error = torch.randn(*prefix, 6, 4, generator=generator, dtype=torch.float64)
    out, gradient, vectors_error = torch.empty_like(error), torch.empty_like(layer.weight), torch.empty_like(vectors)
    products = PlainProducts(num_models)
    products.forward(0, vectors, layer, out)
    products.backward(0, vectors, layer, error, gradient, vectors_error)
    torch.testing.assert_close(
        out, torch.einsum("...bi,...io->...bo", vectors, layer.weight) + layer.bias[..., None, :]
    )
    torch.testing.assert_close(gradient, torch.einsum("...bi,...bo->...io", vectors, error))
    torch.testing.assert_close(vectors_error, torch.einsum("...bo,...io->...bi", error, layer.weight))


def train(configurations: dict[str, Configuration], images: np.ndarray = IMAGES, epochs: int = 2, **options) -> Pack:
    pack = Pack(images, **options)
    for seed, (key, configuration) in enumerate(configurations.items()):
        pack.add(key, configuration, seed=seed, epochs=epochs)
    for _ in range(epochs):
        pack.train_epoch()
    return pack


@needs_bfloat16
@pytest.mark.parametrize("members_per_step", [1, 3])
@pytest.mark.parametrize(
    "own",
    [{}, {"dropout": 0.1, "l1": 1e-5}, {"noise_variance": 0.1, "output": "linear"}, {"activation": "relu"}],
    ids=lambda own: " ".join(own) or "none",
)
def test_losses_in_bfloat16_follow_those_in_float32(members_per_step, own):
    configuration = dataclasses.replace(CONFIGURATION, **own)
    losses = {}
    for precision in ("fp32", "bf16"):
        pack = Pack(IMAGES, precision=precision, members_per_step=members_per_step)
        for seed in range(3):
            pack.add(str(seed), configuration, seed=seed, epochs=2)
        losses[precision] = [
            [result.loss for result in pack.train_epoch().values()],
            [result.loss for result in pack.train_epoch().values()],
        ]
    assert losses["bf16"] != losses["fp32"]
    np.testing.assert_allclose(losses["bf16"], losses["fp32"], rtol=0.01)


@needs_bfloat16
def test_a_member_trained_in_bfloat16_has_the_bits_of_one_alone():
    own = [{}, {"dropout": 0.2, "l1": 1e-5}, {"noise_variance": 0.1, "weight_decay": 0.05}]
    configurations = {str(index): dataclasses.replace(CONFIGURATION, **values) for index, values in enumerate(own)}
    together = train(configurations, precision="bf16")
    for seed, (key, configuration) in enumerate(configurations.items()):
        alone = Pack(IMAGES, precision="bf16")
        alone.add(key, configuration, seed=seed, epochs=2)
        alone.train_epoch()
        alone.train_epoch()
        for name in ("parameters", "moment1", "moment2"):
            assert torch.equal(getattr(alone.export(key), name), getattr(together.export(key), name)), name


@needs_bfloat16
def test_members_of_the_published_widths_in_bfloat16_have_the_bits_of_ones_alone():
    """Large matrices take other code in the linear algebra library than small ones."""
    images = some_images(300, 784)  # the last batch is smaller
    configuration = Configuration(hidden_layers=(512, 128), latent_dim=100, batch_size=128)
    together = train({"0": configuration, "1": configuration}, images, precision="bf16")
    alone = train({"0": configuration}, images, precision="bf16")
    assert torch.equal(alone.export("0").parameters, together.export("0").parameters)


@needs_bfloat16
def test_the_state_of_a_member_trained_in_bfloat16_stays_float32_with_all_its_digits():
    state = train({"a": CONFIGURATION}, precision="bf16").export("a")
    for tensor in (state.parameters, state.moment1, state.moment2):
        assert tensor.dtype == torch.float32
        assert not torch.equal(tensor, tensor.bfloat16().float())


@needs_bfloat16
def test_evaluation_rounds_nothing():
    trained = train({"a": CONFIGURATION}, precision="bf16")
    other = Pack(IMAGES)
    other.add("a", CONFIGURATION, seed=0, epochs=3, state=trained.export("a"))
    inputs = IMAGES[:50] / np.float32(255)
    assert torch.equal(trained.reconstruct("a", inputs), other.reconstruct("a", inputs))
    assert torch.equal(trained.encode("a", inputs), other.encode("a", inputs))


def test_a_pack_rounds_only_where_the_processor_gains_by_it(monkeypatch):
    for capabilities, expected in (
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": True, "amx_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": False, "avx512_f": True}, False),
        ({}, False),
    ):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda capabilities=capabilities: capabilities)
        assert has_bfloat16_products("cpu") == expected
        assert Pack(IMAGES, precision="bf16").bfloat16_products == expected
        assert not Pack(IMAGES, precision="bf16", dtype=torch.float64).bfloat16_products
        assert not Pack(IMAGES, precision="tf32").bfloat16_products
        assert not Pack(IMAGES).bfloat16_products


@pytest.mark.parametrize("capability", [(8, 0), (9, 0), (7, 5)])
def test_a_gpu_multiplies_bfloat16_or_the_precision_is_refused(monkeypatch, capability):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    if capability >= (8, 0):
        assert has_bfloat16_products("cuda") and has_bfloat16_products("cuda:1")
        return
    with pytest.raises(ValueError, match=r"^precision: bf16 needs a GPU .* 8\.0 .*; Tesla T4 has 7\.5: set precision"):
        has_bfloat16_products("cuda")


def test_without_such_a_processor_bf16_is_the_setting_of_torch(monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", dict)
    seen = []
    monkeypatch.setattr(
        "aesweep.training.pack.matmul_precision", lambda name: seen.append(name) or contextlib.nullcontext()
    )
    train({"a": CONFIGURATION}, epochs=1, precision="bf16")
    assert seen == ["bf16"]

"""Shape, layout, initial parameters and forward pass of dense autoencoders against plain PyTorch."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from aesweep.models.dense import Dense
from aesweep.models.layout import ALIGNMENT

ARCHITECTURES = [
    Dense(64, (), 3),
    Dense(64, (32,), 8, "relu", "linear"),
    Dense(65, (31, 17), 5, "silu", "sigmoid"),
    Dense(30, (20, 15, 10, 7), 2, "tanh", "linear"),
]


def flat_of(architecture: Dense, seed: int = 0) -> torch.Tensor:
    return architecture.initial_parameters(torch.Generator().manual_seed(seed))


def test_the_decoder_mirrors_the_encoder():
    assert Dense(784, (512, 128), 30).widths == (784, 512, 128, 30, 128, 512, 784)
    assert Dense(784, (512, 128), 30).code_layer == 2
    module = Dense(784, (512, 128), 30).as_module()
    kinds = [type(part) for part in module]
    half = [nn.Linear, nn.GELU, nn.Linear, nn.GELU, nn.Linear]
    assert kinds == [*half, *half, nn.Sigmoid]
    assert [type(part) for part in Dense(9, (), 2, output="linear").as_module()] == [nn.Linear, nn.Linear]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_layout_holds_every_parameter_once_weights_first_and_aligned(architecture):
    layout = architecture.layout
    flat = torch.zeros(layout.num_elements)
    views = architecture.layers(flat)
    for layer in views:
        layer.weight.add_(1)
        layer.bias.add_(1)
        for view in layer:
            assert view.storage_offset() % ALIGNMENT == 0
            assert view.is_contiguous()
    assert flat.max() == 1  # no two share a place
    expected = sum(parameter.numel() for parameter in architecture.as_module().parameters())
    assert flat.sum() == layout.num_parameters == expected
    assert flat[: layout.num_weights].sum() == sum(layer.weight.numel() for layer in views)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_stack_of_flat_vectors_is_cut_as_each_of_them(architecture):
    stack = torch.rand(3, architecture.layout.num_elements)
    for index in range(3):
        for stacked, alone in zip(architecture.layers(stack), architecture.layers(stack[index]), strict=True):
            assert torch.equal(stacked.weight[index], alone.weight)
            assert torch.equal(stacked.bias[index], alone.bias)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_forward_pass_is_that_of_the_module(architecture):
    flat = flat_of(architecture).double()
    inputs = torch.rand(6, architecture.num_pixels, dtype=torch.float64)
    module = architecture.as_module(flat)
    with torch.no_grad():
        torch.testing.assert_close(architecture.reconstruct(flat, inputs), module(inputs), rtol=1e-12, atol=1e-14)
        encoder = module[: 2 * architecture.code_layer + 1]
        torch.testing.assert_close(architecture.encode(flat, inputs), encoder(inputs), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_module_and_flat_vector_turn_into_each_other(architecture):
    flat = flat_of(architecture)
    assert torch.equal(architecture.as_parameters(architecture.as_module(flat)), flat)
    module = architecture.as_module(flat)
    with torch.no_grad():
        module[0].weight.zero_()
    assert torch.equal(flat, flat_of(architecture))  # the module holds a copy


def test_initial_parameters_are_distributed_as_those_of_linear():
    architecture = Dense(400, (300,), 200)
    module = architecture.as_module(flat_of(architecture))
    for linear in (part for part in module if isinstance(part, nn.Linear)):
        reference = nn.Linear(linear.in_features, linear.out_features)
        bound = 1 / math.sqrt(linear.in_features)
        for got, expected in ((linear.weight, reference.weight), (linear.bias, reference.bias)):
            assert got.abs().max() <= bound
            assert got.abs().max() > 0.95 * bound
            assert expected.abs().max() <= bound
        # Standard deviations of 60,000 and more uniform numbers: equal to a percent or so.
        assert linear.weight.std().item() == pytest.approx(reference.weight.std().item(), rel=0.02)
        assert abs(linear.weight.mean().item()) < 0.01 * bound


def test_initial_parameters_depend_on_the_generator_alone():
    architecture = ARCHITECTURES[2]
    assert torch.equal(flat_of(architecture, 4), flat_of(architecture, 4))
    assert not torch.equal(flat_of(architecture, 4), flat_of(architecture, 5))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("activation", "geluu", "expected one of gelu, relu, silu, tanh; got 'geluu'"),
        ("output", "softmax", "expected sigmoid or linear; got 'softmax'"),
        ("hidden_layers", (6, 0), r"expected integers above 0.*got \(10, 6, 0, 2, 0, 6, 10\)"),
        ("latent_dim", -1, r"expected integers above 0.*-1"),
    ],
)
def test_an_architecture_names_what_is_wrong(field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Dense(10, (6,), 2), **{field: value})

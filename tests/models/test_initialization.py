"""Where training starts: orthogonal weights that keep a signal's size, and the mean image as the first output."""

import math

import pytest
import torch
from torch import nn

from aesweep.models.activations import activation_gain
from aesweep.models.dense import Dense

ACTIVATIONS = ("gelu", "relu", "silu", "tanh")


def layers_of(architecture: Dense, seed: int = 0, initialization: str = "orthogonal"):
    mean = torch.full((architecture.num_pixels,), 0.3)
    flat = architecture.initial_parameters(torch.Generator().manual_seed(seed), initialization, mean)
    return flat, architecture.layers(flat)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gain_undoes_what_an_activation_does_to_a_normal_signal(activation):
    signal = torch.randn(1_000_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kept = activation_gain(activation) * getattr(nn.functional, activation, torch.tanh)(signal)
    # The mean of a million squares of a bounded-kurtosis variable: a standard error of about 0.3 %.
    assert kept.square().mean().item() == pytest.approx(1, rel=0.015)


def test_the_gain_of_relu_is_that_of_he_and_a_linear_layer_needs_none():
    assert activation_gain("relu") == pytest.approx(math.sqrt(2), rel=1e-6)
    assert activation_gain("linear") == 1


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_rows_or_columns_of_every_weight_are_orthogonal_and_of_one_length(activation):
    _, layers = layers_of(Dense(30, (20, 25), 6, activation))
    for weight, _ in layers:
        small = weight if weight.shape[0] <= weight.shape[1] else weight.T
        product = (small @ small.T).double()
        size = product.diagonal().mean()
        torch.testing.assert_close(product, size * torch.eye(len(product), dtype=torch.float64), rtol=0, atol=1e-5)


def test_a_signal_of_unit_variance_keeps_its_size_through_a_widening_and_a_square_layer():
    _, layers = layers_of(Dense(400, (400,), 400, "relu"))
    signal = torch.randn(2000, 400, generator=torch.Generator().manual_seed(1))
    for index in range(2):
        signal = signal @ layers[index].weight
        assert signal.square().mean().item() == pytest.approx(1, rel=0.05)
        signal = torch.relu(signal) if index == 0 else signal


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
def test_a_blank_code_gives_the_mean_image(output):
    architecture = Dense(36, (12,), 4, "gelu", output)
    mean = torch.linspace(0, 1, 36, dtype=torch.float64)
    flat = architecture.initial_parameters(torch.Generator().manual_seed(0), "orthogonal", mean)
    decoder = architecture.as_module(flat)[3:]
    got = decoder(torch.zeros(1, 4))[0].detach()
    # A sigmoid cannot give 0 or 1: pixels beyond 0.01 and 0.99 start there.
    expected = mean.clamp(0.01, 0.99) if output == "sigmoid" else mean
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("initialization", ["uniform", "orthogonal"])
def test_it_depends_on_the_generator_alone_and_leaves_the_gaps_of_the_layout_zero(initialization):
    architecture = Dense(65, (31, 17), 5)
    first, _ = layers_of(architecture, 4, initialization)
    torch.rand(100)
    again, layers = layers_of(architecture, 4, initialization)
    other, _ = layers_of(architecture, 5, initialization)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    for layer in layers:
        layer.weight.zero_()
        layer.bias.zero_()
    assert again.abs().max() == 0


def test_an_unknown_initialization_and_a_missing_mean_image_are_refused():
    architecture = Dense(9, (), 2)
    generator = torch.Generator()
    with pytest.raises(ValueError, match="expected uniform, or orthogonal with a mean image; got 'zeros'"):
        architecture.initial_parameters(generator, "zeros", torch.zeros(9))
    with pytest.raises(ValueError, match="with a mean image; got 'orthogonal'"):
        architecture.initial_parameters(generator, "orthogonal")

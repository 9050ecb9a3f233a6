"""Shape, layout, initial parameters and forward pass of networks against plain PyTorch, and their gradients."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from aesweep.models.layout import ALIGNMENT
from aesweep.models.network import Network
from aesweep.models.terms import cross_entropy, gaussian_divergence

NETWORKS = [
    Network((1, 8, 8), (4, 6), 3),
    Network((2, 13, 14), (4, 6), 5, kernel_size=3, hidden_layers=(20,), normalization="layer", activation="silu"),
    Network((3, 9, 10), (3,), 4, kernel_size=5, output="linear", activation="tanh"),
    Network((1, 7, 7), (2,), 3, kernel_size=2, is_variational=True, activation="relu"),
    Network((1, 5, 4), (), 2, hidden_layers=(9, 6), is_variational=True, likelihood="bernoulli"),
]


def parameters_of(network: Network, seed: int = 0, initialization: str = "uniform") -> torch.Tensor:
    mean = torch.full((network.num_pixels,), 0.3)
    return network.initial_parameters(torch.Generator().manual_seed(seed), initialization, mean)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_the_decoder_mirrors_the_encoder_and_every_size_comes_back(network):
    shapes = [layer.given for layer in network.layers] + [network.layers[-1].gives]
    if network.is_variational:
        shapes = [tuple(size // 2 if size == 2 * network.latent_dim else size for size in shape) for shape in shapes]
    # A flattened map and the map itself stand for each other.
    sizes = [math.prod(shape) for shape in shapes]
    assert sizes == sizes[::-1]
    assert network.as_module()(torch.rand(3, network.num_pixels)).shape == (3, network.num_pixels)


@pytest.mark.parametrize("kernel_size", range(2, 9))
@pytest.mark.parametrize("side", [8, 9, 10, 11, 28])
def test_transposed_convolutions_undo_what_strides_do_to_sides(side, kernel_size):
    network = Network((1, side, side + 1), (2,), 3, kernel_size=kernel_size)
    halved = nn.Conv2d(1, 2, kernel_size, 2, (kernel_size - 1) // 2)(torch.zeros(1, 1, side, side + 1))
    assert network.maps[1] == tuple(halved.shape[1:])
    assert network.reconstruct(parameters_of(network), torch.zeros(1, side * (side + 1))).shape == (
        1,
        side * (side + 1),
    )


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_the_layout_holds_every_parameter_once_weights_first_and_aligned(network):
    layout = network.layout
    flat = torch.zeros(layout.num_elements)
    for view in layout.views(flat).values():
        view.add_(1)
        assert view.storage_offset() % ALIGNMENT == 0
    assert flat.max() == 1  # no two share a place
    module = network.as_module()
    assert flat.sum() == layout.num_parameters == sum(parameter.numel() for parameter in module.parameters())
    weights = sum(parameter.numel() for parameter in module.parameters() if parameter.ndim > 1)
    assert flat[: layout.num_weights].sum() == weights


@pytest.mark.parametrize("initialization", ["uniform", "orthogonal"])
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_passes_are_those_of_the_module_for_one_model_and_for_a_stack(network, initialization):
    parameters = parameters_of(network, 1, initialization).double()
    inputs = torch.rand(6, network.num_pixels, dtype=torch.float64)
    module = network.as_module(parameters)
    with torch.no_grad():
        expected = module(inputs)
        torch.testing.assert_close(network.reconstruct(parameters, inputs), expected, rtol=1e-12, atol=1e-14)
        codes = network.encode(parameters, inputs)
        assert codes.shape == (6, network.latent_dim)
        torch.testing.assert_close(network.decode(parameters, codes), expected, rtol=1e-12, atol=1e-14)
        stack = torch.stack([parameters, 0.9 * parameters])
        both = network.reconstruct(stack, inputs)
        each = network.reconstruct(stack, torch.stack([inputs, inputs]))
    torch.testing.assert_close(both[0], expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(both[1], network.reconstruct(0.9 * parameters, inputs), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(each, both, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_module_and_flat_vector_turn_into_each_other(network):
    parameters = parameters_of(network)
    module = network.as_module(parameters)
    assert torch.equal(network.as_parameters(module), parameters)
    with torch.no_grad():
        next(module.parameters()).zero_()
    assert torch.equal(parameters, parameters_of(network))  # the module holds a copy


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_gradients_equal_finite_differences(network):
    generator = torch.Generator().manual_seed(3)
    flat = parameters_of(network, 2).double().requires_grad_()
    clean = torch.rand(3, network.num_pixels, dtype=torch.float64, generator=generator)
    draws = torch.randn(3, network.latent_dim, dtype=torch.float64, generator=generator)
    masks = {
        index: torch.rand(3, *shape, dtype=torch.float64, generator=generator)
        for index, shape in network.hidden_shapes.items()
    }
    smooth = dataclasses.replace(network, activation="gelu" if network.activation == "relu" else network.activation)

    def objective(parameters: torch.Tensor) -> torch.Tensor:
        terms = smooth.forward(smooth.layout.views(parameters), clean, masks, draws)
        return (terms.outputs - clean).square().mean() + 0.1 * terms.divergence.mean() + terms.code.square().mean()

    assert torch.autograd.gradcheck(objective, (flat,), eps=1e-6, atol=1e-7, rtol=1e-5, fast_mode=True)


@pytest.mark.parametrize("initialization", ["uniform", "orthogonal"])
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_initial_parameters_depend_on_the_generator_alone_and_leave_the_gaps_zero(network, initialization):
    first = parameters_of(network, 4, initialization)
    torch.rand(100)
    again = parameters_of(network, 4, initialization)
    assert torch.equal(first, again)
    assert not torch.equal(first, parameters_of(network, 5, initialization))
    for view in network.layout.views(again).values():
        view.zero_()
    assert not again.any()


def test_uniform_parameters_are_distributed_as_those_of_pytorchs_layers():
    network = Network((8, 16, 16), (32, 64), 60)
    module, reference = network.as_module(parameters_of(network)), network.as_module()
    for drawn, theirs in zip(module.parameters(), reference.parameters(), strict=True):
        if drawn.ndim > 1:
            assert drawn.std().item() == pytest.approx(theirs.std().item(), rel=0.05)
            assert drawn.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=0.02)


@pytest.mark.parametrize("kernel_size", [3, 4, 6])
def test_orthogonal_layers_keep_the_variance_of_independent_values(kernel_size):
    network = Network((16, 32, 32), (24,), 24, kernel_size=kernel_size, activation="relu")
    views = network.layout.views(parameters_of(network, 0, "orthogonal"))
    generator = torch.Generator().manual_seed(1)
    for index in (0, len(network.layers) - 1):
        layer = network.layers[index]
        own = {name: views[f"{index}.{name}"] for name in ("weight", "bias")}
        own["bias"] = torch.zeros_like(own["bias"])
        values = torch.randn(20, *layer.given, generator=generator)
        if index:  # after a ReLU, for which the gain makes up
            values = values.relu()
        before, _ = layer.apply(own, values)
        inner = before[..., 4:-4, 4:-4]  # at the borders some of the kernel falls on zeros
        assert inner.square().mean().item() == pytest.approx(1, rel=0.12)


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
def test_the_first_output_has_the_mean_of_each_channel(output):
    network = Network((2, 8, 8), (4,), 3, output=output)
    mean = torch.cat([torch.full((64,), 0.2), torch.full((64,), 0.7)])
    parameters = network.initial_parameters(torch.Generator().manual_seed(0), "orthogonal", mean)
    bias = network.layout.views(parameters)[f"{len(network.layers) - 1}.bias"]
    got = torch.sigmoid(bias) if output == "sigmoid" else bias
    torch.testing.assert_close(got, torch.tensor([0.2, 0.7]), rtol=1e-5, atol=1e-6)


def test_divergence_and_entropy_are_those_of_torch_distributions():
    mean, log_variance = torch.randn(2, 7, 4, dtype=torch.float64)
    code = torch.distributions.Normal(mean, (log_variance / 2).exp())
    normal = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = torch.distributions.kl_divergence(code, normal).sum(1)
    torch.testing.assert_close(gaussian_divergence(mean, log_variance), expected, rtol=1e-12, atol=0)
    targets = torch.randint(0, 2, (7, 4)).double()
    expected = -torch.distributions.Bernoulli(logits=mean).log_prob(targets).mean(1)
    torch.testing.assert_close(cross_entropy(mean, targets), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kernel_size": 9}, "kernel_size: expected at most 8, the shorter side of the 8 x 8 pixels that stage 1"),
        ({"channels": (4, 4, 4)}, "kernel_size: expected at most 2, the shorter side of the 2 x 2 pixels that stage 3"),
        ({"kernel_size": 1}, "kernel_size: expected 2 or more, the stride; got 1"),
        ({"channels": (4, 0)}, r"channels: expected integers above 0; got \[4, 0\]"),
        ({"latent_dim": 0}, r"widths: expected integers above 0, from the last map to the code; got \(0,\)"),
        ({"normalization": "batch"}, "normalization: expected none or layer; got 'batch'"),
        ({"activation": "geluu"}, "activation: expected one of gelu, relu, silu, tanh; got 'geluu'"),
        ({"likelihood": "poisson"}, "likelihood: expected gaussian or bernoulli; got 'poisson'"),
        ({"likelihood": "bernoulli", "output": "linear"}, "likelihood: bernoulli needs the output sigmoid"),
    ],
)
def test_a_network_names_what_is_wrong(values, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Network((1, 8, 8), (4,), 3), **values)

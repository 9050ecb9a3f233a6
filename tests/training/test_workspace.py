"""The hand-written backward pass against autograd, in float64."""

import pytest
import torch
from torch import nn

from aesweep.models.dense import Dense
from aesweep.training.engine.dense_workspace import DenseWorkspace

FUNCTIONS = {
    "gelu": nn.functional.gelu,
    "relu": torch.relu,
    "silu": nn.functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "linear": lambda vectors: vectors,
}
BATCH = 9


def objective(architecture, layers, inputs, clean, masks, sparse_code):
    """One model's mean squared error and code penalty, written down plainly."""
    vectors = inputs
    for index, (weight, bias) in enumerate(layers):
        vectors = FUNCTIONS[architecture.activation_after(index)](vectors @ weight + bias)
        if index == architecture.code_layer:
            penalty = sparse_code * vectors.abs().sum() / len(vectors)
        elif masks and index in masks:
            vectors = vectors * masks[index]
    return (vectors - clean).square().mean() + penalty


@pytest.mark.parametrize("num_models", [1, 3])
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "relu", "silu", "tanh"])
@pytest.mark.parametrize("output", ["sigmoid", "linear"])
@pytest.mark.parametrize("hidden_layers", [(), (7,), (16, 5), (12, 9, 5, 4)])
def test_gradients_equal_autograd(num_models, dropout, activation, output, hidden_layers):
    generator = torch.Generator().manual_seed(len(hidden_layers))

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    architecture = Dense(11, hidden_layers, 3, activation, output)
    layout = architecture.layout
    prefix = () if num_models == 1 else (num_models,)
    parameters = draw(*prefix, layout.num_elements)
    gradient = torch.full_like(parameters, torch.nan)
    workspace = DenseWorkspace(architecture, num_models, BATCH, torch.float64, "cpu")
    inputs = draw(*prefix, BATCH, 11)
    workspace.clean.copy_(draw(*prefix, BATCH, 11).abs())
    for mask in workspace.masks.values():
        mask.copy_((draw(*mask.shape) > -0.5) / 0.7)
    sparse_code = [0.3, 0.0, 2.0][:num_models]
    squared_errors = torch.empty(num_models, dtype=torch.float64)

    layers = architecture.layers(parameters)
    workspace.forward(layers, inputs, dropout)
    workspace.differ(squared_errors)
    workspace.backward(layers, architecture.layers(gradient), inputs, dropout, sparse_code)

    for model in range(num_models):

        def of(tensor, model=model):
            return tensor if num_models == 1 else tensor[model]

        leaf = of(parameters).clone().requires_grad_()
        masks = {index: of(mask) for index, mask in workspace.masks.items()} if dropout else None
        arguments = (architecture, architecture.layers(leaf), of(inputs), of(workspace.clean), masks)
        value = objective(*arguments, sparse_code[model])
        (expected,) = torch.autograd.grad(value, leaf)
        for got_layer, expected_layer in zip(
            architecture.layers(of(gradient)), architecture.layers(expected), strict=True
        ):
            torch.testing.assert_close(got_layer.weight, expected_layer.weight, rtol=1e-11, atol=1e-13)
            torch.testing.assert_close(got_layer.bias, expected_layer.bias, rtol=1e-11, atol=1e-13)
        error = objective(*arguments, 0.0).item()
        assert squared_errors[model].item() / (BATCH * 11) == pytest.approx(error, rel=1e-12)


def test_gathered_images_are_those_asked_for_in_zero_to_one():
    images = torch.arange(256, dtype=torch.uint8).repeat(3, 1)
    images[1] = 255
    workspace = DenseWorkspace(Dense(256, (), 2), 1, 2, torch.float32, "cpu")
    workspace.gather(images, torch.tensor([2, 1]))
    assert torch.equal(workspace.clean[0], torch.arange(256) / 255)
    assert torch.equal(workspace.clean[1], torch.ones(256))


def test_a_workspace_makes_room_for_noise_and_dropout_only_when_asked():
    architecture = Dense(10, (6,), 2)
    workspace = DenseWorkspace(architecture, 1, 4, torch.float32, "cpu")
    workspace.forward(architecture.layers(torch.zeros(architecture.layout.num_elements)), workspace.clean, False)
    assert not {"noisy", "masks", "dropped"} & set(vars(workspace))
    assert set(workspace.masks) == {0, 2}  # not the code, not the output

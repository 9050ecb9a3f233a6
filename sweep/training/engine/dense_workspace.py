"""The forward and backward pass of dense models, written by hand, in buffers that every step overwrites.

Letters: K models in lock-step, B batch, D pixels, W width of a layer. A stack of one has no K in its shapes, because
plain matrix products are faster than batched ones; all code works on either form.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from aesweep.models.dense import Dense, Layer
from aesweep.training.engine.products import Bfloat16Products, PlainProducts
from aesweep.training.engine.workspace import Workspace

_aten = torch.ops.aten


class DenseWorkspace(Workspace[Dense, list[Layer]]):
    """Buffers for K dense models and batches of B images, and the forward and backward pass through them.

    Attributes:
        before: per layer, the output of its matrix product with the bias, [K, B, W].
        after: per layer, the output of its activation, [K, B, W]; the same tensor as `before` where it has none.
        dropped: per hidden layer, `after` with units dropped, [K, B, W]; allocated at the first access.
        errors: per layer, the gradient of the objective with respect to `before`, [K, B, W].
    """

    def __init__(
        self,
        architecture: Dense,
        num_models: int,
        batch: int,
        dtype: torch.dtype,
        device: str,
        bfloat16_products: bool = False,
    ):
        super().__init__(architecture, num_models, batch, dtype, device)
        widths = architecture.widths
        self.activations = [architecture.activation_after(index) for index in range(architecture.num_layers)]
        self.before = [self._empty(width) for width in widths[1:]]
        self.after = [
            before if name == "linear" else torch.empty_like(before)
            for before, name in zip(self.before, self.activations, strict=True)
        ]
        self.errors = [torch.empty_like(before) for before in self.before]
        self._products: PlainProducts | Bfloat16Products
        if bfloat16_products:
            self._products = Bfloat16Products(architecture, num_models, batch, device)
        else:
            self._products = PlainProducts(num_models)
        self.hidden = [i for i in range(architecture.num_layers - 1) if i != architecture.code_layer]

    @staticmethod
    def views(architecture: Dense, flat: Tensor) -> list[Layer]:
        return architecture.layers(flat)

    @staticmethod
    def floats_per_image(architecture: Dense) -> int:
        widths = architecture.widths[1:]
        hidden = sum(widths) - architecture.latent_dim - architecture.num_pixels
        # Clean and noisy images; each layer's product, activation and error; masks and activations with units dropped.
        activated = sum(width for i, width in enumerate(widths) if architecture.activation_after(i) != "linear")
        return 2 * architecture.num_pixels + 2 * sum(widths) + 2 * hidden + activated

    @functools.cached_property
    def masks(self) -> dict[int, Tensor]:
        return {index: torch.empty_like(self.after[index]) for index in self.hidden}

    @functools.cached_property
    def dropped(self) -> dict[int, Tensor]:
        return {index: torch.empty_like(self.after[index]) for index in self.hidden}

    @property
    def code(self) -> Tensor:
        return self.after[self.architecture.code_layer]

    @property
    def outputs(self) -> Tensor:
        return self.after[-1]

    @property
    def output_errors(self) -> Tensor:
        return self.errors[-1]

    def forward(self, layers: list[Layer], inputs: Tensor, dropout: bool) -> Tensor:
        vectors = inputs
        for index, layer in enumerate(layers):
            before, after = self.before[index], self.after[index]
            self._products.forward(index, vectors, layer, before)
            _activate(self.activations[index], before, after)
            vectors = after
            if dropout and index in self.masks:
                vectors = torch.mul(after, self.masks[index], out=self.dropped[index])
        return vectors

    def backward(
        self,
        layers: list[Layer],
        gradients: list[Layer],
        inputs: Tensor,
        dropout: bool,
        sparse_code: list[float] | Tensor | None,
        beta: list[float] | Tensor | None = None,
    ) -> None:
        self.errors[-1].mul_(2 / (self.batch * self.architecture.num_pixels))
        for index in reversed(range(len(layers))):
            error = self.errors[index]
            if dropout and index in self.masks:
                error.mul_(self.masks[index])
            if index == self.architecture.code_layer and isinstance(sparse_code, Tensor):
                signs = self.after[index].view(self.num_models, -1).sign()
                error.view(self.num_models, -1).addcmul_(signs, (sparse_code / self.batch).unsqueeze(1))
            elif index == self.architecture.code_layer and sparse_code is not None:
                for model, weight in enumerate(sparse_code):
                    if weight:
                        code = self.of_each(self.after[index])[model]
                        self.of_each(error)[model].add_(code.sign(), alpha=weight / self.batch)
            _backpropagate(self.activations[index], error, self.before[index], self.after[index])
            given = self.dropped if dropout and index - 1 in self.masks else self.after
            vectors = inputs if index == 0 else given[index - 1]
            vectors_error = None if index == 0 else self.errors[index - 1]
            self._products.backward(index, vectors, layers[index], error, gradients[index].weight, vectors_error)
            torch.sum(error, dim=-2, out=gradients[index].bias)


def _activate(name: str, before: Tensor, after: Tensor) -> None:
    if name == "gelu":
        torch._C._nn.gelu(before, out=after)
    elif name == "relu":
        torch.clamp_min(before, 0, out=after)
    elif name == "silu":
        torch._C._nn.silu(before, out=after)
    elif name == "tanh":
        torch.tanh(before, out=after)
    elif name == "sigmoid":
        torch.sigmoid(before, out=after)


def _backpropagate(name: str, error: Tensor, before: Tensor, after: Tensor) -> None:
    """Turns the gradient with respect to an activation's output into that with respect to its input, in place.

    Args:
        name: name of the activation.
        error: the gradient; overwritten.
        before: the activation's input.
        after: the activation's output.
    """
    if name == "gelu":
        _aten.gelu_backward.grad_input(error, before, grad_input=error)
    elif name == "relu":
        _aten.threshold_backward.grad_input(error, before, 0, grad_input=error)
    elif name == "silu":
        _aten.silu_backward.grad_input(error, before, grad_input=error)
    elif name == "tanh":
        _aten.tanh_backward.grad_input(error, after, grad_input=error)
    elif name == "sigmoid":
        _aten.sigmoid_backward.grad_input(error, after, grad_input=error)

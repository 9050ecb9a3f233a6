"""Buffers for one step of a stack, allocated once and overwritten at every step, and the passes through them.

Letters: K models in lock-step, B batch, D pixels, W width of a layer. A stack of one has no K in its shapes, because
plain matrix products are faster than batched ones; all code works on either form.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from aesweep.models.autoencoder import Architecture, Layer, Layout
from aesweep.training.engine.products import Bfloat16Products, PlainProducts

_aten = torch.ops.aten


class Workspace:
    """Buffers for K models and batches of B images, and the forward and backward pass through them.

    Attributes:
        clean: the batch's images, [K, B, D].
        noisy: the batch's images with noise, [K, B, D]; allocated at the first access.
        masks: per hidden layer, 0 for a dropped unit, 1 / (1 - rate) for a kept one, [K, B, W]; allocated at the first
            access.
        before: per layer, the output of its matrix product with the bias, [K, B, W].
        after: per layer, the output of its activation, [K, B, W]; the same tensor as `before` where it has none.
        dropped: per hidden layer, `after` with units dropped, [K, B, W]; allocated at the first access.
        errors: per layer, the gradient of the objective with respect to `before`, [K, B, W].
    """

    def __init__(
        self,
        architecture: Architecture,
        num_models: int,
        batch: int,
        dtype: torch.dtype,
        device: str,
        bfloat16_products: bool = False,
    ):
        self.architecture = architecture
        self.num_models = num_models
        self.batch = batch
        self._options = {"dtype": dtype, "device": device}
        widths = architecture.widths
        self.pixels = torch.empty(num_models * batch, widths[0], dtype=torch.uint8, device=device)
        self.clean = self._empty(widths[0])
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

    def _empty(self, width: int) -> Tensor:
        prefix = () if self.num_models == 1 else (self.num_models,)
        return torch.empty(*prefix, self.batch, width, **self._options)

    @functools.cached_property
    def noisy(self) -> Tensor:
        return torch.empty_like(self.clean)

    @functools.cached_property
    def dropped(self) -> dict[int, Tensor]:
        return {index: torch.empty_like(self.after[index]) for index in self.hidden}

    @functools.cached_property
    def masks(self) -> dict[int, Tensor]:
        return {index: torch.empty_like(self.after[index]) for index in self.hidden}

    def of_each(self, tensor: Tensor) -> list[Tensor]:
        """Returns a buffer split by model: K views [B, W]."""
        return [tensor] if self.num_models == 1 else list(tensor)

    def gather(self, images: Tensor, indices: Tensor) -> None:
        """Fills `clean` with images scaled to [0, 1].

        Args:
            images: all training images, uint8 [N, D].
            indices: images of each model's batch, int64 [K * B].
        """
        torch.index_select(images, 0, indices, out=self.pixels)
        # In two operations, because a single torch.div from uint8 would convert in a new buffer, ten times slower.
        self.clean.copy_(self.pixels.view(self.clean.shape)).div_(255)

    def forward(self, layers: list[Layer], inputs: Tensor, dropout: bool) -> Tensor:
        """Computes the models' outputs.

        Args:
            layers: the models' parameters.
            inputs: images, [K, B, D].
            dropout: whether units are dropped, according to the present `masks`.

        Returns:
            The outputs [K, B, D], in a buffer of the workspace.
        """
        vectors = inputs
        for index, layer in enumerate(layers):
            before, after = self.before[index], self.after[index]
            self._products.forward(index, vectors, layer, before)
            _activate(self.activations[index], before, after)
            vectors = after
            if dropout and index in self.masks:
                vectors = torch.mul(after, self.masks[index], out=self.dropped[index])
        return vectors

    def differ(self, squared_errors: Tensor) -> None:
        """Writes outputs minus clean images where `backward` starts, and each model's sum of their squares.

        Args:
            squared_errors: each model's sum of squared differences, [K], overwritten.
        """
        difference = self.errors[-1]
        torch.sub(self.after[-1], self.clean, out=difference)
        flat = difference.view(self.num_models, -1)
        torch.linalg.vector_norm(flat, dim=1, out=squared_errors)
        squared_errors.square_()

    def backward(
        self,
        layers: list[Layer],
        gradients: list[Layer],
        inputs: Tensor,
        dropout: bool,
        sparse_code: list[float] | Tensor | None,
    ) -> None:
        """Writes the gradient of each model's mean squared error, and of its penalty on the code, into `gradients`.

        Args:
            layers: the parameters that `forward` used.
            gradients: the gradients, of the same shapes; overwritten.
            inputs: the inputs of `forward`.
            dropout: whether `forward` dropped units.
            sparse_code: per model, the weight of the code's absolute sum, mean over the batch; a tensor [K] to process
                all models in one operation, None where all weights are zero.
        """
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


class Workspaces:
    """Workspaces by number of models and batch, and gradients by number of models, shared by the stacks of a pack."""

    def __init__(self, architecture: Architecture, dtype: torch.dtype, device: str, bfloat16_products: bool = False):
        self.architecture = architecture
        self.layout = Layout(architecture)
        self.dtype = dtype
        self.device = device
        self.bfloat16_products = bfloat16_products
        self._workspaces: dict[tuple[int, int], Workspace] = {}
        self._gradients: dict[int, Tensor] = {}

    def get(self, num_models: int, batch: int) -> Workspace:
        """Returns the workspace for `num_models` models and batches of `batch` images."""
        key = (num_models, batch)
        if key not in self._workspaces:
            self._workspaces[key] = Workspace(
                self.architecture, num_models, batch, self.dtype, self.device, self.bfloat16_products
            )
        return self._workspaces[key]

    def gradient(self, num_models: int) -> Tensor:
        """Returns the buffer for the gradients of `num_models` models, [K, P]."""
        if num_models not in self._gradients:
            shape = (num_models, self.layout.num_elements)
            self._gradients[num_models] = torch.zeros(shape, dtype=self.dtype, device=self.device)
        return self._gradients[num_models]

    def release(self) -> None:
        """Releases all buffers; later calls allocate new ones."""
        self._workspaces.clear()
        self._gradients.clear()

"""Autoencoders of strided convolutions and linear layers, with a plain or a variational code, for training by autograd.

Each stage of the encoder halves the map's sides; the last map is flattened and goes through linear layers to the code,
and the decoder mirrors all of it with transposed convolutions. Without channels, all layers are linear. Images come and
go as flat rows [N, D], like those of every family. Letters: K models in a stack, N images, C channels, D pixels of an
image, Z latent dimension, P length of a flat parameter vector.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from aesweep.models.activations import check_activation
from aesweep.models.initialization import check_initialization, output_bias
from aesweep.models.layers import STRIDE, Layer, in_order, padding
from aesweep.models.layout import Layout
from aesweep.models.module_exchange import filled, flattened
from aesweep.models.terms import Terms, gaussian_divergence


@dataclasses.dataclass(frozen=True)
class Network:
    """The shape of such a model; see `aesweep.models.family.Differentiable`.

    Attributes:
        image_shape: shape of an image, (C, H, W).
        channels: channels of the encoder's maps, one for each stage; the decoder mirrors them.
        latent_dim: Z, the length of the code.
        hidden_layers: widths of linear hidden layers between the last map and the code; the decoder mirrors them.
        kernel_size: width and height of the kernels, in pixels.
        activation: "gelu", "relu", "silu" or "tanh", after every hidden layer; none follows the code.
        output: "sigmoid" or "linear", after the last layer.
        normalization: "none", or "layer": hidden maps are normalized over their channels and pixels, image by image,
            with a factor and an offset for each channel (`nn.GroupNorm` of one group).
        is_variational: whether the encoder gives a mean and a logarithm of the variance for each number of the code
            (Kingma and Welling 2014), from which training draws; without a draw, the code is the mean.
        likelihood: "gaussian" or "bernoulli": the distribution of a pixel given the code, see `terms`.
    """

    image_shape: tuple[int, ...]
    channels: tuple[int, ...]
    latent_dim: int
    hidden_layers: tuple[int, ...] = ()
    kernel_size: int = 4
    activation: str = "gelu"
    output: str = "sigmoid"
    normalization: str = "none"
    is_variational: bool = False
    likelihood: str = "gaussian"

    def __post_init__(self) -> None:
        check_activation(self.activation, self.output)
        if self.normalization not in ("none", "layer"):
            raise ValueError(f"normalization: expected none or layer; got {self.normalization!r}")
        if self.likelihood not in ("gaussian", "bernoulli"):
            raise ValueError(f"likelihood: expected gaussian or bernoulli; got {self.likelihood!r}")
        if self.likelihood == "bernoulli" and self.output != "sigmoid":
            raise ValueError(f"likelihood: bernoulli needs the output sigmoid; got {self.output!r}")
        if not all(isinstance(count, int) and count > 0 for count in self.channels):
            raise ValueError(f"channels: expected integers above 0; got {list(self.channels)}")
        widths = (*self.hidden_layers, self.latent_dim)
        if not all(isinstance(width, int) and width > 0 for width in widths):
            raise ValueError(f"widths: expected integers above 0, from the last map to the code; got {widths}")
        if self.kernel_size < STRIDE:
            raise ValueError(f"kernel_size: expected {STRIDE} or more, the stride; got {self.kernel_size}")
        for stage, (_, *sides) in enumerate(self.maps[:-1], 1):
            if self.kernel_size > min(sides):
                raise ValueError(
                    f"kernel_size: expected at most {min(sides)}, the shorter side of the {sides[0]} x {sides[1]} "
                    f"pixels that stage {stage} is given by channels {list(self.channels)}; got {self.kernel_size}"
                )

    def __str__(self) -> str:
        maps = ["x".join(map(str, shape)) for shape in self.maps] if self.channels else [str(self.num_pixels)]
        return "-".join([*maps, *map(str, (*self.hidden_layers, self.latent_dim))])

    @functools.cached_property
    def maps(self) -> list[tuple[int, ...]]:
        """The shape of every map of the encoder, (C, H, W), the image's first."""
        maps = [self.image_shape]
        for count in self.channels:
            lost = self.kernel_size - 2 * padding(self.kernel_size)
            maps.append((count, *((side - lost) // STRIDE + 1 for side in maps[-1][1:])))
        return maps

    @property
    def num_pixels(self) -> int:
        return math.prod(self.image_shape)

    @property
    def largest_layer(self) -> int:
        return max(math.prod(shape) for layer in self.layers for shape in (layer.given, layer.gives))

    @functools.cached_property
    def layers(self) -> list[Layer]:
        """All layers with parameters, from the image over the code to the image."""
        maps, kernel = list(itertools.pairwise(self.maps)), {"kernel_size": self.kernel_size}
        widths = list(itertools.pairwise([math.prod(self.maps[-1]), *self.hidden_layers, self.latent_dim]))
        options = {**kernel, "is_normalized": self.normalization == "layer"}
        encoder = [Layer("convolution", given, gives, self.activation, **options) for given, gives in maps]
        encoder += [Layer("linear", (given,), (gives,), self.activation) for given, gives in widths]
        code = (2 * self.latent_dim,) if self.is_variational else (self.latent_dim,)
        encoder[-1] = dataclasses.replace(encoder[-1], gives=code, activation="linear", is_hidden=False)
        decoder = [Layer("linear", (given,), (gives,), self.activation) for gives, given in reversed(widths)]
        for gives, given in reversed(maps):
            lost = tuple((side + 2 * padding(self.kernel_size) - self.kernel_size) % STRIDE for side in gives[1:])
            decoder.append(Layer("transposed", given, gives, self.activation, output_padding=lost, **options))
        last = {"activation": self.output, "is_hidden": False, "is_normalized": False}
        decoder[-1] = dataclasses.replace(decoder[-1], **last)
        return encoder + decoder

    @property
    def code_layer(self) -> int:
        """The index of the layer whose output is the code."""
        return len(self.channels) + len(self.hidden_layers)

    @functools.cached_property
    def hidden_shapes(self) -> dict[int, tuple[int, ...]]:
        """By index of each hidden layer, the shape of what it gives for an image; dropout applies to it."""
        return {index: layer.gives for index, layer in enumerate(self.layers) if layer.is_hidden}

    @functools.cached_property
    def layout(self) -> Layout:
        """Where each parameter lies in a flat vector; its name begins with the index of its layer."""
        return Layout(
            [
                parameter._replace(name=f"{index}.{parameter.name}")
                for index, layer in enumerate(self.layers)
                for parameter in layer.parameters()
            ]
        )

    def _of_layer(self, views: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
        return {name: views[f"{index}.{name}"] for name, *_ in self.layers[index].parameters()}

    def initial_parameters(
        self, generator: torch.Generator, initialization: str = "uniform", mean_image: Tensor | None = None
    ) -> Tensor:
        """Draws a model's parameters, see `aesweep.models.family.Architecture` and `Layer.initialize`.

        Under "orthogonal", the bias of a transposed convolution at the end makes the first output the mean of each
        channel, not of each pixel.
        """
        check_initialization(initialization, mean_image)
        flat = torch.zeros(self.layout.num_elements)
        views, before = self.layout.views(flat), "linear"
        for index, layer in enumerate(self.layers):
            layer.initialize(self._of_layer(views, index), before, initialization, generator)
            before = layer.activation
        if initialization == "orthogonal":
            bias = views[f"{len(self.layers) - 1}.bias"]
            bias.copy_(output_bias(mean_image.reshape(len(bias), -1).mean(1), self.output))
        return flat

    def forward(
        self,
        views: Mapping[str, Tensor],
        inputs: Tensor,
        masks: Mapping[int, Tensor] | None = None,
        draws: Tensor | None = None,
    ) -> Terms:
        """Computes what one model's objective consists of; see `aesweep.models.family.Differentiable`."""
        code, _ = self._through(views, inputs, range(self.code_layer + 1), masks)
        divergence = code.new_zeros(len(code))
        if self.is_variational:
            mean, log_variance = code.float().chunk(2, -1) if code.dtype == torch.bfloat16 else code.chunk(2, -1)
            divergence = gaussian_divergence(mean, log_variance)
            code = mean if draws is None else mean + torch.exp(log_variance / 2) * draws
        outputs, before = self._through(views, code, range(self.code_layer + 1, len(self.layers)), masks)
        # The gradient of a Bernoulli likelihood with respect to what the sigmoid is given is output minus target.
        return Terms(outputs, before if self.likelihood == "bernoulli" else outputs, code, divergence)

    def _through(
        self, views: Mapping[str, Tensor], values: Tensor, which: range, masks: Mapping[int, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns the results of some layers, flat, after and before the last activation."""
        before = values
        for index in which:
            before, values = self.layers[index].apply(self._of_layer(views, index), values)
            if masks is not None and self.layers[index].is_hidden:
                values = values * masks[index]
        return values.reshape(len(values), -1), before.reshape(len(before), -1)

    def encode(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Encodes images [N, D] to codes [N, Z]; stacks as in `aesweep.models.family.Architecture.encode`."""

        def one(views: dict[str, Tensor], images: Tensor) -> Tensor:
            return self._through(views, images, range(self.code_layer + 1))[0][:, : self.latent_dim]

        return self.layout.of_each(one, parameters, inputs)

    def reconstruct(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Reconstructs images [N, D] through the code, without dropout; stacks as in `encode`."""
        return self.layout.of_each(lambda views, images: self.forward(views, images).outputs, parameters, inputs)

    def divergence(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Returns the divergence of each image's code from a standard normal one, in nats, [N] or [K, N]."""
        return self.layout.of_each(lambda views, images: self.forward(views, images).divergence, parameters, inputs)

    def decode(self, parameters: Tensor, codes: Tensor) -> Tensor:
        """Decodes codes [N, Z] to images [N, D]; stacks as in `encode`."""
        which = range(self.code_layer + 1, len(self.layers))
        return self.layout.of_each(lambda views, given: self._through(views, given, which)[0], parameters, codes)

    def as_module(self, parameters: Tensor | None = None) -> nn.Sequential:
        """Returns the model as a plain Sequential, from Unflatten over Conv2d, Linear and ConvTranspose2d to Flatten.

        That of a variational model reconstructs from the code's mean.

        Args:
            parameters: the model's parameters [P], which are copied; None keeps PyTorch's own initial ones.
        """
        modules: list[nn.Module] = []
        shape: tuple[int, ...] = (self.num_pixels,)
        for index, layer in enumerate(self.layers):
            if layer.given != shape:
                modules.append(nn.Flatten() if len(shape) == 3 else nn.Unflatten(1, layer.given))
            modules += layer.modules()
            shape = layer.gives
            if index == self.code_layer and self.is_variational:
                modules.append(Mean(self.latent_dim))
                shape = (self.latent_dim,)
        module = nn.Sequential(*modules, *([nn.Flatten()] if self.channels else []))
        return filled(module, parameters, self._pairs)

    def as_parameters(self, module: nn.Sequential) -> Tensor:
        """Inverts `as_module`: returns a flat vector [P] of the module's dtype, on its device."""
        return flattened(module, self.layout.num_elements, self._pairs)

    def _pairs(self, module: nn.Sequential, parameters: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields each parameter of the module with its view into a flat vector [P]."""
        views, theirs = self.layout.views(parameters), module.parameters()
        for index in range(len(self.layers)):
            for mine in self._of_layer(views, index).values():
                yield next(theirs), in_order(mine)


class Mean(nn.Module):
    """The mean of a variational code: the first half of what the encoder gives."""

    def __init__(self, latent_dim: int):
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[:, : self.latent_dim]

"""What the rest of the project asks of a model, whatever it is made of, and the families that answer.

Planning, memory, training, checkpoints and figures ask an `Architecture`, and assume nothing about layers. A new family
is a class with the methods of `Architecture`, and a line in `FAMILIES`; packages offer theirs as
`aesweep.models.modules` says. Letters: K models in a stack, B batch, N
images, D pixels of an image, Z latent dimension, P length of a flat parameter vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from aesweep.models.dense import Dense
from aesweep.models.installed import GIVEN, load_family
from aesweep.models.layout import Layout
from aesweep.models.modules import ModuleArchitecture
from aesweep.models.network import Network
from aesweep.models.terms import Terms


class Architecture(Protocol):
    """The shape of a model, without its parameters. Equal shapes are equal, and hash alike: they can share a pack.

    The parameters are a flat vector [P], in which `layout` says what lies where, or a stack of such vectors [K, P]. The
    methods are pure functions of parameters and inputs.
    """

    def __str__(self) -> str:
        """Returns the shape in a few characters, as `aesweep plan` shows it: "784-512-128-30"."""

    @property
    def num_pixels(self) -> int:
        """D, the number of values of an image, all channels together."""

    @property
    def latent_dim(self) -> int:
        """Z, the length of the code."""

    @property
    def largest_layer(self) -> int:
        """The most values that a layer gives for an image, or is given."""

    @property
    def layout(self) -> Layout:
        """Where each parameter lies in a flat vector."""

    def initial_parameters(
        self, generator: torch.Generator, initialization: str = "uniform", mean_image: Tensor | None = None
    ) -> Tensor:
        """Draws a model's parameters.

        Args:
            generator: source of the draws, on the CPU.
            initialization: "uniform", as PyTorch's own layers draw them, or "orthogonal", which keeps a signal's
                variance from layer to layer and starts with outputs near the mean image.
            mean_image: mean of the training images, float [D], pixels in [0, 1]; "orthogonal" needs it.

        Returns:
            Flat vector [P], float32, CPU.
        """

    def encode(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Encodes images [N, D], as flat rows, to codes [N, Z], without dropout.

        With the parameters of a stack, it encodes images [N, D] or [K, N, D] to codes [K, N, Z].
        """

    def reconstruct(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Reconstructs images [N, D] through the code, without dropout; stacks as in `encode`."""

    def decode(self, parameters: Tensor, codes: Tensor) -> Tensor:
        """Decodes codes [N, Z] to images [N, D]; stacks as in `encode`."""

    def as_module(self, parameters: Tensor | None = None) -> nn.Sequential:
        """Returns the model as plain PyTorch layers, which map images [N, D] to images [N, D].

        Args:
            parameters: the model's parameters [P], which are copied; None keeps PyTorch's own initial ones.
        """

    def as_parameters(self, module: nn.Sequential) -> Tensor:
        """Inverts `as_module`: returns a flat vector [P] of the module's dtype, on its device."""


class Differentiable(Architecture, Protocol):
    """An architecture without a backward pass written by hand: it is trained by autograd through `forward`."""

    @property
    def hidden_shapes(self) -> dict[int, tuple[int, ...]]:
        """By index of each hidden layer, the shape of what it gives for an image; dropout applies to it."""

    @property
    def is_variational(self) -> bool:
        """Whether training draws the code from a distribution that the encoder gives."""

    @property
    def likelihood(self) -> str:
        """ "gaussian" or "bernoulli": how outputs are compared with images in training, see `aesweep.models.terms`."""

    def divergence(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Returns the divergence of each image's code from a standard normal one, in nats, [N]; 0 for plain ones."""

    def forward(
        self,
        views: Mapping[str, Tensor],
        inputs: Tensor,
        masks: Mapping[int, Tensor] | None = None,
        draws: Tensor | None = None,
    ) -> Terms:
        """Computes what one model's objective consists of, by differentiable operations, which `vmap` can stack.

        Args:
            views: the parameters, as `layout.views` returns them.
            inputs: images [N, D].
            masks: dropout's factors by index of the hidden layer, [N, ...]; None for no dropout.
            draws: standard normal numbers from which variational codes are drawn, [N, Z]; None for their means.
        """


def _dense(settings: Any, image_shape: tuple[int, ...]) -> Dense | Network:
    if settings.code == "variational" or settings.likelihood != "gaussian":
        return _network(settings, image_shape, ())
    return Dense(
        num_pixels=math.prod(image_shape),
        hidden_layers=settings.hidden_layers,
        latent_dim=settings.latent_dim,
        activation=settings.activation,
        output=settings.output,
    )


def _network(settings: Any, image_shape: tuple[int, ...], channels: tuple[int, ...]) -> Network:
    return Network(
        image_shape=tuple(image_shape),
        channels=channels,
        latent_dim=settings.latent_dim,
        hidden_layers=settings.hidden_layers,
        kernel_size=settings.kernel_size,
        activation=settings.activation,
        output=settings.output,
        normalization=settings.normalization,
        is_variational=settings.code == "variational",
        likelihood=settings.likelihood,
    )


def _convolutional(settings: Any, image_shape: tuple[int, ...]) -> Network:
    if not settings.channels:
        raise ValueError("channels: expected one or more; got none")
    return _network(settings, image_shape, settings.channels)


def build(settings: Any, image_shape: tuple[int, ...]) -> Architecture:
    """Returns the architecture that a trial's settings describe.

    Args:
        settings: a `Configuration`, which lies on a higher floor.
        image_shape: shape of an image, (C, H, W).

    Raises:
        ValueError: no such model is possible; the message begins with the setting's name.
    """
    if settings.family in FAMILIES:
        return FAMILIES[settings.family](settings, image_shape)
    for name, value, plain in (
        ("code", settings.code, "plain"),
        ("likelihood", settings.likelihood, "gaussian"),
        ("dropout", settings.dropout, 0),
    ):
        if value != plain:
            raise ValueError(f"{name}: family {settings.family} takes {plain!r} alone; got {value!r}")
    given = {**dict(settings.options), **{name: getattr(settings, name) for name in GIVEN}}
    return ModuleArchitecture(
        settings.family, load_family(settings.family), tuple(image_shape), tuple(sorted(given.items()))
    )


# Family name to a function of a trial's settings (a `Configuration`, which lies on a higher floor) and the shape of an
# image (C, H, W). It raises ValueError, with the setting's name, where no such model is possible.
FAMILIES: dict[str, Callable[[Any, tuple[int, ...]], Architecture]] = {"dense": _dense, "convolutional": _convolutional}

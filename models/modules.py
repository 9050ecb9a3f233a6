"""Models of a user's own: any two modules of PyTorch, an encoder and a decoder, as an `Architecture`.

A package offers a family under the entry points `aesweep.models`: a class with the names and types of its own settings
and a function that builds the modules; docs/MODELS.md has an example. Letters as in `aesweep.models.family`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from aesweep.models.initialization import check_initialization
from aesweep.models.layout import Layout, Parameter
from aesweep.models.module_exchange import filled, flattened
from aesweep.models.terms import Terms

_OF_A_BATCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)  # also those without buffers


class ModuleFamily(Protocol):
    """What a package registers.

    Attributes:
        axes: name of each setting of the family's own to its type, as pydantic takes types: `int`, `list[int]`,
            `Literal["a", "b"]`, ...; a study gives them under `options`.
    """

    axes: ClassVar[Mapping[str, Any]]

    @staticmethod
    def modules(settings: Mapping[str, Any], image_shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
        """Builds a model.

        Args:
            settings: the family's own settings, and `latent_dim`, `hidden_layers`, `activation`, `output`.
            image_shape: shape of an image, (C, H, W).

        Returns:
            An encoder from images [N, C, H, W] to codes [N, Z], and a decoder from codes to images. They hold no
            buffers, as batch normalization does: what a model gives for an image must not depend on other images, nor
            on chance. They may share parameters.

        Raises:
            ValueError: no such model is possible; the message begins with the setting's name.
        """


@dataclasses.dataclass(frozen=True)
class ModuleArchitecture:
    """The shape of a model that a `ModuleFamily` builds; see `aesweep.models.family.Differentiable`.

    Attributes:
        name: the family's name.
        family: the family.
        image_shape: shape of an image, (C, H, W).
        settings: pairs of a setting's name and its value.
    """

    name: str
    family: ModuleFamily
    image_shape: tuple[int, ...]
    settings: tuple[tuple[str, Any], ...]

    is_variational: ClassVar[bool] = False
    likelihood: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        with _said_in_one_line(f"family: {self.name}: its modules cannot be built"):
            model = self._template
        if buffers := [name for name, _ in model.named_buffers()]:
            raise ValueError(f"family: {self.name}: expected modules without buffers; got {', '.join(buffers)}")
        if batches := [name for name, module in model.named_modules() if isinstance(module, _OF_A_BATCH)]:
            raise ValueError(f"family: {self.name}: expected no normalization of batches; got {', '.join(batches)}")
        with torch.device("meta"):
            images = torch.zeros(2, *self.image_shape)
        for part, given, expected in (
            (model[1], images, (2, self.latent_dim)),
            (model[2], torch.zeros(2, self.latent_dim, device="meta"), (2, self.num_pixels)),
        ):
            what = "encoder cannot take images" if part is model[1] else "decoder cannot take codes"
            with _said_in_one_line(f"family: {self.name}: its {what}"), _WithoutChance(self.name):
                got = part(given)
                shape = tuple((got if part is model[1] else got.reshape(2, -1)).shape)
            if shape != expected:
                raise ValueError(f"family: {self.name}: expected an output of {expected}; got {shape}")

    def __str__(self) -> str:
        return f"{self.name} {self.latent_dim}"

    @property
    def latent_dim(self) -> int:
        return dict(self.settings)["latent_dim"]

    @property
    def num_pixels(self) -> int:
        return math.prod(self.image_shape)

    @property
    def largest_layer(self) -> int:
        return max(self.num_pixels, *self._sizes)

    @functools.cached_property
    def hidden_shapes(self) -> dict[int, tuple[int, ...]]:
        """Nothing: dropout is what the family's own modules do, which must not draw at random."""
        return {}

    @functools.cached_property
    def _template(self) -> nn.Sequential:
        """The model without memory for its parameters."""
        with torch.device("meta"):
            return self._built()

    @functools.cached_property
    def _shared_names(self) -> dict[str, str]:
        return shared_names(self._template)

    def _built(self) -> nn.Sequential:
        encoder, decoder = self.family.modules(dict(self.settings), self.image_shape)
        return nn.Sequential(nn.Unflatten(1, self.image_shape), encoder, decoder, nn.Flatten())

    @functools.cached_property
    def _sizes(self) -> list[int]:
        """How many values each module gives for an image."""
        sizes: list[int] = []

        def measure(_module: nn.Module, _given: Any, output: Any) -> None:
            sizes.append(output[0].numel() if isinstance(output, Tensor) else 0)

        hooks = [module.register_forward_hook(measure) for module in self._template.modules()]
        self._template(torch.zeros(1, self.num_pixels, device="meta"))
        for hook in hooks:
            hook.remove()
        return sizes

    @functools.cached_property
    def layout(self) -> Layout:
        """Where each parameter lies in a flat vector; those of two and more dimensions are weights."""
        parameters = self._template.named_parameters()
        return Layout([Parameter(name, tuple(found.shape), is_weight=found.ndim > 1) for name, found in parameters])

    def initial_parameters(
        self, generator: torch.Generator, initialization: str = "uniform", mean_image: Tensor | None = None
    ) -> Tensor:
        """Draws a model's parameters as its modules draw them, from a seed that the generator gives.

        "orthogonal" then makes every weight, as a matrix of its first dimension by the others, orthogonal, with the
        size that the modules gave it.
        """
        check_initialization(initialization, mean_image)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
            module = self._built()
        if initialization == "orthogonal":
            with torch.no_grad():
                for weight in (parameter for parameter in module.parameters() if parameter.ndim > 1):
                    size = weight.square().mean().sqrt()
                    torch.nn.init.orthogonal_(weight, generator=generator)
                    weight.mul_(size / weight.square().mean().sqrt())
        return self.as_parameters(module)

    def forward(
        self,
        views: Mapping[str, Tensor],
        inputs: Tensor,
        masks: Mapping[int, Tensor] | None = None,
        draws: Tensor | None = None,
    ) -> Terms:
        """Computes what one model's objective consists of; see `aesweep.models.family.Differentiable`."""
        code = self._part(1, views, inputs.reshape(len(inputs), *self.image_shape))
        outputs = self._part(2, views, code).reshape(len(inputs), -1)
        return Terms(outputs, outputs, code, code.new_zeros(len(code)))

    def _part(self, index: int, views: Mapping[str, Tensor], values: Tensor) -> Tensor:
        prefix = f"{index}."
        own = {
            name.removeprefix(prefix): views[shared]
            for name, shared in self._shared_names.items()
            if name.startswith(prefix)
        }
        return torch.func.functional_call(self._template[index], own, (values,))

    def encode(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Encodes images [N, D] to codes [N, Z]; stacks as in `aesweep.models.family.Architecture.encode`."""
        return self.layout.of_each(
            lambda views, given: self._part(1, views, given.reshape(len(given), *self.image_shape)), parameters, inputs
        )

    def reconstruct(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Reconstructs images [N, D] through the code; stacks as in `encode`."""
        return self.layout.of_each(lambda views, given: self.forward(views, given).outputs, parameters, inputs)

    def decode(self, parameters: Tensor, codes: Tensor) -> Tensor:
        """Decodes codes [N, Z] to images [N, D]; stacks as in `encode`."""

        def one(views: dict[str, Tensor], given: Tensor) -> Tensor:
            return self._part(2, views, given).reshape(len(given), -1)

        return self.layout.of_each(one, parameters, codes)

    def divergence(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """Returns zeros, [N] or [K, N]: the code is plain."""
        return self.encode(parameters, inputs).sum(-1) * 0

    def as_module(self, parameters: Tensor | None = None) -> nn.Sequential:
        """Returns the model as a Sequential of the family's encoder and decoder, from and to images [N, D].

        Args:
            parameters: the model's parameters [P], which are copied; None keeps the modules' own initial ones.
        """
        return filled(self._built(), parameters, self._pairs)

    def as_parameters(self, module: nn.Sequential) -> Tensor:
        """Inverts `as_module`: returns a flat vector [P] of the module's dtype, on its device."""
        return flattened(module, self.layout.num_elements, self._pairs)

    def _pairs(self, module: nn.Sequential, parameters: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        views = self.layout.views(parameters)
        return ((found, views[name]) for name, found in module.named_parameters())


def shared_names(module: nn.Module) -> dict[str, str]:
    """Returns each name of each parameter, with the first name of the same parameter: modules may share some."""
    first = {id(parameter): name for name, parameter in module.named_parameters()}
    return {name: first[id(found)] for name, found in module.named_parameters(remove_duplicate=False)}


@contextlib.contextmanager
def _said_in_one_line(what: str) -> Iterator[None]:
    """Raises whatever the block raises as a ValueError, which tells before a run that a model is not possible."""
    try:
        yield
    except ValueError:
        raise
    except Exception as error:  # a family's own code may raise any
        raise ValueError(f"{what} ({type(error).__name__}: {' '.join(str(error).split())[:200]})") from error


class _WithoutChance(TorchDispatchMode):
    """Refuses operations that draw at random, such as those of `nn.Dropout`.

    Args:
        family: the family's name, for messages.
    """

    def __init__(self, family: str):
        super().__init__()
        self._family = family

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise ValueError(
                f"family: {self._family}: expected modules that draw nothing at random; got {func.name()}, as of "
                "nn.Dropout: leave it out, or set its probability to 0"
            )
        return func(*args, **(kwargs or {}))

"""The configuration of a trial: one point of a stage's search space.

The module imports neither torch nor Ray, so that a study can be read and planned on any machine. `aesweep.training`
applies the values, and `aesweep.study.search_space` defines which values a study may contain.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from typing import Any

ACTIVATIONS = ("gelu", "relu", "silu", "tanh")
OUTPUTS = ("sigmoid", "linear")
INITIALIZATIONS = ("orthogonal", "uniform")
SCHEDULES = ("one_cycle", "cosine", "constant")
NORMALIZATIONS = ("none", "layer")
CODES = ("plain", "variational")
LIKELIHOODS = ("gaussian", "bernoulli")

# The fields that describe the models of one family alone; under another family they keep their defaults.
FAMILY_FIELDS: dict[str, tuple[str, ...]] = {"dense": (), "convolutional": ("channels", "kernel_size", "normalization")}
NEEDED_BY_FAMILY: dict[str, tuple[str, ...]] = {"dense": ("hidden_layers",), "convolutional": ("channels",)}

# The strengths that a regularizer needs; every other strength is zero under it.
REGULARIZERS: dict[str, tuple[str, ...]] = {
    "none": (),
    "l1": ("l1",),
    "l2": ("l2",),
    "l1_l2": ("l1", "l2"),
    "weight_decay": ("weight_decay",),
    "dropout": ("dropout",),
    "sparse_code": ("sparse_code",),
}
# The fields that make a model's shape: the members of a pack must agree in them, because they share operations.
SHAPE = (
    *("family", "hidden_layers", "channels", "kernel_size", "normalization", "latent_dim", "activation", "output"),
    *("code", "likelihood", "options"),
)
SHARED = (*SHAPE, "batch_size")
# Names that a table may give to rows or columns, with the fields whose values make up the name's value.
DERIVED = {"model": tuple(name for name in SHAPE if name not in ("latent_dim", "activation", "output"))}

STRENGTHS = ("l1", "l2", "weight_decay", "dropout", "sparse_code")
# How the axis of one setting of a package's family begins: "options.width".
OPTION = "options."


def field_of(axis: str) -> str:
    """Returns the field that an axis gives a value to, or to one of whose settings."""
    return "options" if axis.startswith(OPTION) else axis


# Metadata of a field that is added from now on: `beta: float = dataclasses.field(default=0.0, metadata=LATER)`.
LATER = {"is_later": True}


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What one trial trains.

    Attributes:
        hidden_layers: widths of the encoder's hidden layers, from the image (of a convolutional model: from its last
            map) to the code; the decoder mirrors them.
        latent_dim: Z, the length of the code.
        activation: one of `ACTIVATIONS`, after every hidden layer.
        output: one of `OUTPUTS`, after the last layer.
        initialization: one of `INITIALIZATIONS`: orthogonal weights and an output that starts at the mean image, or
            `nn.Linear`'s own uniform draws.
        learning_rate: peak rate of Adam.
        schedule: one of `SCHEDULES`, over the trial's whole budget of epochs.
        batch_size: images per step.
        regularizer: one of `REGULARIZERS`; the label under which a table shows the strengths below.
        l1: weight of the sum of absolute weights (biases excluded) in the objective.
        l2: weight of the sum of squared weights (biases excluded) in the objective: a coupled penalty.
        weight_decay: decoupled decay of the weights (AdamW), per step and unit of learning rate.
        dropout: probability that a hidden unit is dropped.
        sparse_code: weight of the code's absolute sum, mean over the batch, in the objective.
        noise_variance: variance of the Gaussian noise added to the input (pixels in [0, 1]); 0 trains a plain
            autoencoder, more a denoiser. The target is always the clean image.
        family: the kind of model, one of `FAMILY_FIELDS`, or a family that an installed package offers.
        channels: channels of a convolutional encoder's maps, one for each stage of stride 2; the decoder mirrors them.
        kernel_size: width and height of its kernels, in pixels.
        normalization: one of `NORMALIZATIONS`: none, or each map's normalization over its channels and pixels.
        code: one of `CODES`: a plain code, or one that training draws from a Gaussian which the encoder gives.
        beta: weight of a variational code's divergence in the objective, see `aesweep.models.terms`.
        likelihood: one of `LIKELIHOODS`, by which training compares outputs with images: squared errors, or cross
            entropies.
        options: settings of a package's family, as pairs of name and value.
    """

    hidden_layers: tuple[int, ...]
    latent_dim: int
    activation: str = "gelu"
    output: str = "sigmoid"
    initialization: str = "orthogonal"
    learning_rate: float = 2e-3
    schedule: str = "one_cycle"
    batch_size: int = 128
    regularizer: str = "none"
    l1: float = 0.0
    l2: float = 0.0
    weight_decay: float = 0.0
    dropout: float = 0.0
    sparse_code: float = 0.0
    noise_variance: float = 0.0
    family: str = dataclasses.field(default="dense", metadata=LATER)
    channels: tuple[int, ...] = dataclasses.field(default=(), metadata=LATER)
    kernel_size: int = dataclasses.field(default=4, metadata=LATER)
    normalization: str = dataclasses.field(default="none", metadata=LATER)
    code: str = dataclasses.field(default="plain", metadata=LATER)
    beta: float = dataclasses.field(default=1.0, metadata=LATER)
    likelihood: str = dataclasses.field(default="gaussian", metadata=LATER)
    options: tuple[tuple[str, Any], ...] = dataclasses.field(default=(), metadata=LATER)

    @property
    def model(self) -> str:
        """What is trained, without its latent dimension, in a few characters: "512-128", "convolutional 32-64"."""
        parts = [] if self.code == "plain" else [self.code]
        parts += [] if self.likelihood == "gaussian" else [self.likelihood]
        parts += [] if self.family == "dense" else [self.family]
        parts += ["-".join(map(str, self.channels))] if self.channels else []
        if self.hidden_layers:
            parts.append("-".join(map(str, self.hidden_layers)))
        elif self.family == "dense":
            parts.append("no hidden layers")
        parts += [] if self.kernel_size == 4 else [f"{self.kernel_size}x{self.kernel_size}"]
        parts += [] if self.normalization == "none" else [f"{self.normalization} norm"]
        parts += [f"{name} {value}" for name, value in self.options]
        return " ".join(parts)

    def value_of(self, axis: str) -> Any:
        """Returns the value of a field, of a name of `DERIVED`, or of "options.<setting>", None if it is not given."""
        if axis.startswith(OPTION):
            return dict(self.options).get(axis.removeprefix(OPTION))
        return getattr(self, axis)

    def written_value(self, axis: str) -> Any:
        """Returns `value_of` an axis as a study writes it: widths as a list, a package's settings as a mapping."""
        value = self.value_of(axis)
        return {name: _as_list(setting) for name, setting in value} if axis == "options" else _as_list(value)

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as values that JSON can hold, with the widths as a list.

        A field that was added `LATER` is left out where it has its default. What was recorded before there was such a
        field (journals, hashes in states, names of retrainings) is then what is derived again today.
        """
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not (field.metadata == LATER and getattr(self, field.name) == field.default)
        }
        if self.options:
            values["options"] = self.written_value("options")
        return {name: _as_list(value) for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Configuration:
        """Inverts `as_dict`. Raises TypeError for an unknown or missing field."""
        options = {name: _as_tuple(value) for name, value in values.get("options", {}).items()}
        plain = {name: _as_tuple(value) for name, value in values.items() if name != "options"}
        return cls(**plain, options=tuple(sorted(options.items())))

    def digest(self) -> str:
        """Returns eight hexadecimal digits of a hash of the fields, which equal configurations share."""
        text = json.dumps(self.as_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def _as_list(value: Any) -> Any:
    return [_as_list(item) for item in value] if isinstance(value, tuple) else value


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value


FIELDS = tuple(field.name for field in dataclasses.fields(Configuration))


def fields_in_use(configurations: Iterable[Configuration]) -> list[str]:
    """Returns the fields that a list of these configurations needs, in their order.

    A field that was added `LATER` is left out where all of them have its default.
    """
    known = list(configurations)
    return [
        field.name
        for field in dataclasses.fields(Configuration)
        if field.metadata != LATER or any(getattr(found, field.name) != field.default for found in known)
    ]


def settings_in_use(configurations: Iterable[Configuration]) -> list[str]:
    """Returns `fields_in_use`, then each setting of packages' families by its axis: "options.<setting>"."""
    known = list(configurations)
    names = {f"{OPTION}{name}" for found in known for name, _ in found.options}
    return [*fields_in_use(known), *sorted(names)]

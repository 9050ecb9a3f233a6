"""One model of a pack: what it trains, how far it is, and the tensors that make up its state."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from aesweep.models.autoencoder import Architecture, Layout
from aesweep.models.initialization import initial_parameters
from aesweep.study.configuration import Configuration
from aesweep.training.engine.optimizer import FACTORS
from aesweep.training.engine.randomness import stream


@dataclasses.dataclass(frozen=True)
class MemberState:
    """All that a member needs to go on elsewhere, on the CPU.

    Attributes:
        parameters: flat vector [P], in the order of `aesweep.models.autoencoder.Layout`.
        moment1: Adam's running mean of the gradient, [P].
        moment2: Adam's running mean of its square, [P].
        step: steps done.
        epoch: epochs done.
    """

    parameters: Tensor
    moment1: Tensor
    moment2: Tensor
    step: int
    epoch: int


def architecture_of(configuration: Configuration, num_pixels: int) -> Architecture:
    """The shape of the model that a configuration trains on images of so many pixels."""
    return Architecture(
        num_pixels=num_pixels,
        hidden_layers=configuration.hidden_layers,
        latent_dim=configuration.latent_dim,
        activation=configuration.activation,
        output=configuration.output,
    )


class Member:
    """A model under training.

    Attributes:
        key: its name in the pack.
        configuration: what it trains with.
        seed: of all its random streams.
        epochs: its whole budget, over which the learning rate is scheduled.
        epoch: epochs done.
        step: steps done.
        diverged: whether a loss or a parameter became infinite or not a number.
        parameters, moment1, moment2: flat vectors [P] on the device; rows of a stack where it trains in one.
        step_counter: the number of steps as Adam's kernel wants it, a float32 scalar on the device.
    """

    def __init__(
        self,
        key: str,
        configuration: Configuration,
        *,
        seed: int,
        epochs: int,
        architecture: Architecture,
        dtype: torch.dtype,
        device: str,
        mean_image: Tensor,
        state: MemberState | None = None,
    ):
        if epochs < 1:
            raise ValueError(f"{key}: epochs: expected 1 or more; got {epochs}")
        self.key = key
        self.configuration = configuration
        self.seed = seed
        self.epochs = epochs
        self.diverged = False
        if state is None:
            initial = initial_parameters(
                architecture, stream(seed, "initial", 0), configuration.initialization, mean_image
            )
            state = MemberState(initial, torch.zeros_like(initial), torch.zeros_like(initial), 0, 0)
        expected = (Layout(architecture).num_elements,)
        for name in ("parameters", "moment1", "moment2"):
            if (got := tuple(getattr(state, name).shape)) != expected:
                raise ValueError(f"{key}: state.{name}: expected shape {expected}; got {got}")
        # copy=True: training must not write into the caller's state.
        self.parameters = state.parameters.to(device, dtype, copy=True)
        self.moment1 = state.moment1.to(device, dtype, copy=True)
        self.moment2 = state.moment2.to(device, dtype, copy=True)
        self.epoch = state.epoch
        self.step = state.step
        self.step_counter = torch.tensor(float(state.step), device=device)

    @property
    def active(self) -> bool:
        """Whether there is anything left to train."""
        return not self.diverged and self.epoch < self.epochs

    def learning_rate(self, step: int, steps_per_epoch: int) -> float:
        """The rate of a step, counted from 0."""
        factor = FACTORS[self.configuration.schedule](step, self.epochs * steps_per_epoch)
        return self.configuration.learning_rate * factor

    def export(self) -> MemberState:
        """A copy of the state."""
        return MemberState(
            *(
                tensor.detach().to("cpu", copy=True).contiguous()
                for tensor in (self.parameters, self.moment1, self.moment2)
            ),
            step=self.step,
            epoch=self.epoch,
        )

"""One model of a pack: its configuration, its progress, and the tensors that make up its state."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from aesweep.models.family import Architecture, build
from aesweep.study.configuration import Configuration
from aesweep.training.engine.optimizer import FACTORS
from aesweep.training.engine.randomness import stream


@dataclasses.dataclass(frozen=True)
class MemberState:
    """State from which a member's training can be resumed in any pack; its tensors are on the CPU.

    Attributes:
        parameters: flat vector [P], in the order of the architecture's `layout`.
        moment1: Adam's running mean of the gradient, [P].
        moment2: Adam's running mean of the squared gradient, [P].
        step: number of steps done.
        epoch: number of epochs done.
    """

    parameters: Tensor
    moment1: Tensor
    moment2: Tensor
    step: int
    epoch: int


def architecture_of(configuration: Configuration, image_shape: tuple[int, ...]) -> Architecture:
    """Returns the architecture of a configuration's model.

    Args:
        configuration: the model's configuration.
        image_shape: shape of an image, (C, H, W).

    Raises:
        ValueError: no such model is possible for such images.
    """
    return build(configuration, image_shape)


class Member:
    """A model under training.

    Attributes:
        key: the member's name in the pack.
        configuration: the configuration that it is trained with.
        seed: seed of all its random streams.
        epochs: its whole budget, over which the learning rate is scheduled.
        epoch: number of epochs done.
        step: number of steps done.
        diverged: whether a loss or a parameter became infinite or not a number.
        parameters, moment1, moment2: flat vectors [P] on the device; rows of a stack where it trains in one.
        step_counter: `step` in the form that Adam's kernel needs, a float32 scalar on the device.
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
            initial = architecture.initial_parameters(
                stream(seed, "initial", 0), configuration.initialization, mean_image
            )
            state = MemberState(initial, torch.zeros_like(initial), torch.zeros_like(initial), 0, 0)
        expected = (architecture.layout.num_elements,)
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
        """Whether the member has epochs left to train and has not diverged."""
        return not self.diverged and self.epoch < self.epochs

    def learning_rate(self, step: int, steps_per_epoch: int) -> float:
        """Returns the learning rate of a step of the whole training, counted from 0."""
        factor = FACTORS[self.configuration.schedule](step, self.epochs * steps_per_epoch)
        return self.configuration.learning_rate * factor

    def leave_stack(self) -> None:
        """Gives the member tensors of its own, unless it has them: a row keeps the whole stack's memory."""
        for name in ("parameters", "moment1", "moment2"):
            tensor = getattr(self, name)
            if tensor.untyped_storage().nbytes() > tensor.nbytes:
                setattr(self, name, tensor.clone())

    def export(self) -> MemberState:
        """Returns a copy of the member's state on the CPU."""
        return MemberState(
            *(
                tensor.detach().to("cpu", copy=True).contiguous()
                for tensor in (self.parameters, self.moment1, self.moment2)
            ),
            step=self.step,
            epoch=self.epoch,
        )

"""Many autoencoders of the same widths on one device, trained together and yet each for itself.

What a member learns depends on its own configuration, seed and images alone: not on who shares the pack, who joins or
leaves, or how many step together.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Container
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aesweep.models.autoencoder import Architecture, encode, reconstruct
from aesweep.study.configuration import SHARED, Configuration
from aesweep.training.engine.gpu.lock_step import LockStepStack
from aesweep.training.engine.member import Member, MemberState, architecture_of
from aesweep.training.engine.precision import configure_torch, has_bfloat16_products, matmul_precision
from aesweep.training.engine.stack import Stack
from aesweep.training.engine.workspace import Workspaces
from aesweep.training.evaluation import Judge, pairs_at_once, writable

__all__ = ["EpochResult", "MemberState", "Pack", "configure_torch"]


@dataclasses.dataclass(frozen=True)
class EpochResult:
    """What a member's epoch came to.

    Attributes:
        epoch: counted from 1.
        loss: the objective with its penalties, mean over the epoch's images, as trained: with dropout and noise.
        reconstruction_mse: its first part, the squared error per pixel against the clean image.
        learning_rate: of the epoch's last step.
        seconds: of training, its share where members go in lock-step.
        diverged: whether a loss or a parameter is infinite or not a number.
        step_losses: the objective of each step, float64 [steps], CPU.
    """

    epoch: int
    loss: float
    reconstruction_mse: float
    learning_rate: float
    seconds: float
    diverged: bool
    step_losses: Tensor


class Pack:
    """Members and the images that they train on.

    Attributes:
        source: the images as they were given.
        images: the same on the device.
        shortage: how many members go in lock-step since the device's memory was short, and what it said; None where
            it never was. Whoever has reported it may set it to None.
    """

    def __init__(
        self,
        images: np.ndarray | Tensor,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        precision: str = "fp32",
        members_per_step: int | None = None,
        lock_step: bool | None = None,
        like: Pack | None = None,
    ):
        """Puts the images on the device.

        Args:
            images: uint8 [N, D]; stay so, and are scaled to [0, 1] batch by batch.
            device: "cpu", "cuda", "cuda:1", ...
            dtype: of parameters and of all that is computed.
            precision: "fp32", "tf32" or "bf16": how exactly float32 matrices are multiplied. What bf16 comes to is told
                by `aesweep.training.engine.precision.has_bfloat16_products`.
            members_per_step: how many members go in lock-step. None: one on a CPU, where the next model's state would
                push the last one's out of the cache; all on a GPU, which a single one cannot fill.
            lock_step: whether those that go together are trained by operations for all of them (`LockStepStack`), with
                noise and dropout from counters. None: on a GPU, where a member's own operations take longer to launch
                than to run.
            like: a pack on the same device with the same images, which are then shared with it.
        """
        self.source = images
        images = torch.as_tensor(writable(images) if isinstance(images, np.ndarray) else images)
        if images.dtype != torch.uint8 or images.ndim != 2 or images.numel() == 0:
            raise ValueError(f"images: expected uint8 [N, D], not empty; got {images.dtype} {list(images.shape)}")
        if members_per_step is not None and members_per_step < 1:
            raise ValueError(f"members_per_step: expected 1 or more; got {members_per_step}")
        self.images = images.to(device).contiguous() if like is None else like.images
        self.device = device
        self.dtype = dtype
        self.precision = precision
        self.bfloat16_products = precision == "bf16" and dtype == torch.float32 and has_bfloat16_products(device)
        # Where training rounds the factors itself, what is left to torch's own products is evaluation, and exact.
        self._torch_precision = "fp32" if self.bfloat16_products else precision
        if members_per_step is None and torch.device(device).type == "cpu":
            members_per_step = 1
        self._members_per_step = members_per_step
        lock_step = torch.device(device).type != "cpu" if lock_step is None else lock_step
        self._stack_type = LockStepStack if lock_step else Stack
        self._limit: int | None = None
        self.shortage: dict[str, Any] | None = None
        self._members: dict[str, Member] = {}
        self._workspaces: Workspaces | None = None
        self._stacks: dict[tuple[str, ...], Stack] = {}
        self._judge = Judge(device)

    def add(
        self, key: str, configuration: Configuration, *, seed: int, epochs: int, state: MemberState | None = None
    ) -> None:
        """Takes in a member.

        Args:
            key: its name.
            configuration: what it trains with. Must agree with the other members' in
                `aesweep.study.configuration.SHARED`.
            seed: of its initial weights, batches, noise and dropout.
            epochs: its whole budget, over which its learning rate is scheduled.
            state: where it left off, from `export`; None starts it afresh.

        Raises:
            ValueError: the key is taken, or the configuration or state does not fit.
        """
        if key in self._members:
            raise ValueError(f"{key}: already in the pack")
        for other in self._members.values():
            for name in SHARED:
                mine, theirs = getattr(configuration, name), getattr(other.configuration, name)
                if mine != theirs:
                    raise ValueError(
                        f"members of a pack share {name}: {other.key} has {theirs}, {key} has {mine}; "
                        "put it into another pack"
                    )
        architecture = architecture_of(configuration, self.images.shape[1])
        if self._workspaces is None or self._workspaces.architecture != architecture:
            self._workspaces = Workspaces(architecture, self.dtype, self.device, self.bfloat16_products)
        self._members[key] = Member(
            key,
            configuration,
            seed=seed,
            epochs=epochs,
            architecture=architecture,
            dtype=self.dtype,
            device=self.device,
            mean_image=self.mean_image,
            state=state,
        )

    @functools.cached_property
    def mean_image(self) -> Tensor:
        """Mean of the training images, float64 [D], pixels in [0, 1]; exact, so it is the same on every device."""
        return self.images.sum(0, dtype=torch.int64).double() / (255 * len(self.images))

    def remove(self, key: str) -> None:
        """Lets a member go. Raises KeyError if it is not there."""
        del self._members[key]
        self._stacks = {keys: stack for keys, stack in self._stacks.items() if key not in keys}

    def export(self, key: str) -> MemberState:
        """A member's state as of the last epoch's end, to go on with in any pack, on any device."""
        return self._members[key].export()

    def keys(self) -> list[str]:
        """The members, in the order in which they came."""
        return list(self._members)

    def train_epoch(self, keys: Container[str] | None = None) -> dict[str, EpochResult]:
        """Trains members for one epoch.

        Args:
            keys: which; None for all.

        Returns:
            The results by key, of the members that trained: one that has had its epochs, or has diverged, stays in the
            pack until it is removed, but trains no more.
        """
        active = [m for m in self._members.values() if m.active and (keys is None or m.key in keys)]
        known, self._stacks = self._stacks, {}
        results: dict[str, EpochResult] = {}
        with matmul_precision(self._torch_precision):
            while active:
                group = active[: min(filter(None, (self._members_per_step, self._limit)), default=None)]
                names = tuple(member.key for member in group)
                try:
                    stack = known.pop(names, None) or self._stack_type(group, self._workspaces)
                    results.update(self._train(stack))
                except torch.OutOfMemoryError as error:
                    # The epoch has not happened to any of the group: `Stack.train_epoch` sees to that.
                    if len(group) == 1:
                        raise
                    stack = None
                    known.clear()
                    self._halve(len(group), error)
                    continue
                self._stacks[names] = stack
                active = active[len(group) :]
        return results

    def limit_members_per_step(self, limit: int) -> None:
        """Lets no more than so many members go in lock-step, whatever was said of it before."""
        self._limit = limit

    def _halve(self, num_members: int, error: torch.OutOfMemoryError) -> None:
        """Lets half as many members go in lock-step from now on, and gives back the memory that more of them needed."""
        self._members_per_step = -(-num_members // 2)
        self.shortage = {"members_per_step": self._members_per_step, "reason": str(error).splitlines()[0][:300]}
        self._stacks.clear()
        self._workspaces.release()
        if torch.device(self.device).type == "cuda":
            torch.cuda.empty_cache()

    def _train(self, stack: Stack) -> dict[str, EpochResult]:
        num_images, batch_size = len(self.images), stack.members[0].configuration.batch_size
        started = time.perf_counter()
        errors, penalties = stack.train_epoch(self.images, batch_size)
        steps = len(errors)
        shares = torch.full((steps, 1), batch_size / num_images, dtype=torch.float64)
        shares[-1] = (num_images - (steps - 1) * batch_size) / num_images
        mean_errors = (errors * shares).sum(0)
        mean_losses = ((errors + penalties) * shares).sum(0)
        seconds = (time.perf_counter() - started) / len(stack.members)
        results = {}
        # The losses were taken before the last update, which may have broken the parameters all the same.
        sound = torch.stack([member.parameters.sum() for member in stack.members]).isfinite().tolist()
        for index, member in enumerate(stack.members):
            finite = bool(mean_losses[index].isfinite()) and sound[index]
            member.diverged = not finite
            results[member.key] = EpochResult(
                epoch=member.epoch,
                loss=float(mean_losses[index]),
                reconstruction_mse=float(mean_errors[index]),
                learning_rate=member.learning_rate(member.step - 1, steps),
                seconds=seconds,
                diverged=member.diverged,
                step_losses=(errors + penalties)[:, index].clone(),
            )
        return results

    def per_image_mse(
        self, keys: Container[str], clean: np.ndarray, noise: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """How far members' outputs are from clean images, without dropout; those of a stack in lock-step at once.

        Args:
            keys: of the members to judge.
            clean: float32 [N, D], pixels in [0, 1]. Stays on the device, as does the noise: hand in the same objects.
            noise: float32 [N, D] of variance 1: each member is shown the clean images and this, scaled to its noise
                variance, and its outputs are cut to [0, 1]. None where no member has one.

        Returns:
            By key, the mean squared error per pixel of each image, float64 [N].
        """
        together = {
            names: stack
            for names, stack in self._stacks.items()
            if isinstance(stack, LockStepStack) and any(key in keys for key in names)
        }
        grouped = {key for names in together for key in names}
        groups = [(names, stack.layers) for names, stack in together.items()]
        groups += [
            ((key,), self._workspaces.layout.views(member.parameters))
            for key, member in self._members.items()
            if key in keys and key not in grouped
        ]
        found: dict[str, np.ndarray] = {}
        for names, layers in groups:
            deviations = [self._members[key].configuration.noise_variance ** 0.5 for key in names]
            with matmul_precision(self._torch_precision):
                errors = self._judge.per_image_mse(self._workspaces.architecture, layers, deviations, clean, noise)
            found |= {key: row for key, row in zip(names, errors, strict=True) if key in keys}
        return found

    def reconstruct(self, key: str, inputs: np.ndarray | Tensor) -> Tensor:
        """A member's outputs [N, D] for inputs [N, D] (float, pixels in [0, 1]), without dropout, on the device."""
        return self._evaluate(key, inputs, reconstruct)

    def encode(self, key: str, inputs: np.ndarray | Tensor) -> Tensor:
        """A member's codes [N, Z] for inputs [N, D]."""
        return self._evaluate(key, inputs, encode)

    @torch.no_grad()
    def _evaluate(
        self, key: str, inputs: np.ndarray | Tensor, function: Callable[[Architecture, list, Tensor], Tensor]
    ) -> Tensor:
        layers = self._workspaces.layout.views(self._members[key].parameters)
        inputs = torch.as_tensor(writable(inputs) if isinstance(inputs, np.ndarray) else inputs)
        inputs = inputs.to(self.device, self.dtype)
        rows = pairs_at_once(self.device)
        with matmul_precision(self._torch_precision):
            chunks = [function(self._workspaces.architecture, layers, part) for part in inputs.split(rows)]
        return torch.cat(chunks)

"""Packs: many autoencoders of the same widths, trained together on one device but independently of each other.

What a member learns depends on its own configuration, seed and images alone: not on which other members share the pack,
join or leave it, nor on how many are trained in lock-step.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Container
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aesweep.study.configuration import SHARED, Configuration
from aesweep.training.engine.gpu.lock_step import LockStepStack
from aesweep.training.engine.member import Member, MemberState, architecture_of
from aesweep.training.engine.precision import configure_torch, has_bfloat16_products, matmul_precision
from aesweep.training.engine.stack import Stack
from aesweep.training.engine.workspaces import Workspaces
from aesweep.training.epoch_result import EpochResult
from aesweep.training.evaluation import Judge, pairs_at_once, writable
from aesweep.training.lock_step_groups import leave_stacks, next_group

__all__ = ["EpochResult", "MemberState", "Pack", "configure_torch"]


class Pack:
    """Members and the images that they train on.

    Attributes:
        source: the images as they were passed in.
        images: the same images on the device.
        shortage: after the device's memory was short, `members_per_step`, how many members are trained in lock-step
            since, and `reason`, the error's text; None otherwise. A caller that has reported it may set it to None.
    """

    def __init__(
        self,
        images: np.ndarray | Tensor,
        *,
        image_shape: tuple[int, ...] | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        precision: str = "fp32",
        members_per_step: int | None = None,
        lock_step: bool | None = None,
        like: Pack | None = None,
    ):
        """Puts the images on the device.

        Args:
            images: training images, uint8 [N, D]; they stay uint8 and are scaled to [0, 1] batch by batch.
            image_shape: shape of an image, (C, H, W); None for (1, 1, D), which suffices for dense models.
            device: "cpu", "cuda", "cuda:1", ...
            dtype: type of the parameters and of all computation.
            precision: "fp32", "tf32" or "bf16": how exactly float32 matrices are multiplied. For the effect of "bf16",
                see `aesweep.training.engine.precision.has_bfloat16_products`.
            members_per_step: how many members are trained in lock-step. None means one on a CPU, where the next model's
                state would push the last one's out of the cache, and all on a GPU, which one member cannot fill.
            lock_step: whether members in lock-step are trained by operations on all of them (`LockStepStack`), with
                noise and dropout from counters. None means only on a GPU, where a single member's operations take
                longer to launch than to run.
            like: a pack on the same device with the same images; the two packs then share one copy of them.
        """
        self.source = images
        images = torch.as_tensor(writable(images) if isinstance(images, np.ndarray) else images)
        if images.dtype != torch.uint8 or images.ndim != 2 or images.numel() == 0:
            raise ValueError(f"images: expected uint8 [N, D], not empty; got {images.dtype} {list(images.shape)}")
        if members_per_step is not None and members_per_step < 1:
            raise ValueError(f"members_per_step: expected 1 or more; got {members_per_step}")
        self.images = images.to(device).contiguous() if like is None else like.images
        self.image_shape = (1, 1, images.shape[1]) if image_shape is None else tuple(image_shape)
        self.device = device
        self.dtype = dtype
        self.precision = precision
        self.bfloat16_products = precision == "bf16" and dtype == torch.float32 and has_bfloat16_products(device)
        # Where training rounds the factors itself, torch's own products are used for evaluation alone, and are exact.
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
        """Adds a member.

        Args:
            key: the member's name.
            configuration: the member's configuration; the fields named in `aesweep.study.configuration.SHARED` must
                agree with the other members'.
            seed: seed of the member's initial weights, batches, noise and dropout.
            epochs: the member's whole budget, over which its learning rate is scheduled.
            state: state to resume from, as `export` returns it; None for a new member.

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
        architecture = architecture_of(configuration, self.image_shape)
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
        """Mean of the training images, float64 [D], pixels in [0, 1]; exact, and so the same on every device."""
        return self.images.sum(0, dtype=torch.int64).double() / (255 * len(self.images))

    def remove(self, key: str) -> None:
        """Removes a member. Raises KeyError if the pack has none of that name."""
        del self._members[key]
        self._stacks = {keys: stack for keys, stack in self._stacks.items() if key not in keys}

    def export(self, key: str) -> MemberState:
        """Returns a member's state at the end of its last epoch, which any pack on any device can resume from."""
        return self._members[key].export()

    def keys(self) -> list[str]:
        """Returns the members' names, in the order in which they were added."""
        return list(self._members)

    def train_epoch(self, keys: Container[str] | None = None) -> dict[str, EpochResult]:
        """Trains members for one epoch.

        Args:
            keys: names of the members to train; None for all.

        Returns:
            The results, by name, of the members that were trained. A member that has completed its epochs, or has
            diverged, stays in the pack until it is removed, but is not trained any more.
        """
        all_active = [member for member in self._members.values() if member.active]
        waiting = [member for member in all_active if keys is None or member.key in keys]
        results: dict[str, EpochResult] = {}
        with matmul_precision(self._torch_precision):
            while waiting:
                size = min(filter(None, (self._members_per_step, self._limit)), default=len(all_active))
                group = next_group(all_active, waiting, size, self._stack_type.least_share)
                present = set(waiting).intersection(group)
                reason = None
                try:
                    results.update(self._train(self._stack_of(group), present))
                except torch.OutOfMemoryError as error:
                    # `Stack.train_epoch` has restored all members of the group to their state before the epoch.
                    if len(group) == 1:
                        raise
                    reason = str(error)
                # Outside the handler, where the error's traceback does not keep the stack's memory any more.
                if reason is None:
                    waiting = [member for member in waiting if member not in present]
                else:
                    self._halve(len(group), reason)
        return results

    def _stack_of(self, group: list[Member]) -> Stack:
        """Returns the stack of exactly these members, which is built unless there is one."""
        names = tuple(member.key for member in group)
        if names not in self._stacks:
            left = leave_stacks(self._stacks, names)
            self._stacks[names] = self._stack_type(group, self._workspaces)
            for key in left & self._members.keys():
                self._members[key].leave_stack()
        return self._stacks[names]

    def limit_members_per_step(self, limit: int) -> None:
        """Limits how many members are trained in lock-step; replaces an earlier limit of this method."""
        self._limit = limit

    def _halve(self, num_members: int, reason: str) -> None:
        """Halves the number of members in lock-step from now on, and frees the memory that the full number needed."""
        self._members_per_step = -(-num_members // 2)
        self.shortage = {"members_per_step": self._members_per_step, "reason": reason.splitlines()[0][:300]}
        self._stacks.clear()
        self._workspaces.release()
        if torch.device(self.device).type == "cuda":
            torch.cuda.empty_cache()

    def _train(self, stack: Stack, present: Collection[Member]) -> dict[str, EpochResult]:
        num_images, batch_size = len(self.images), stack.members[0].configuration.batch_size
        started = time.perf_counter()
        errors, penalties = stack.train_epoch(self.images, batch_size, present)
        steps = len(errors)
        shares = torch.full((steps, 1), batch_size / num_images, dtype=torch.float64)
        shares[-1] = (num_images - (steps - 1) * batch_size) / num_images
        mean_errors = (errors * shares).sum(0)
        mean_losses = ((errors + penalties) * shares).sum(0)
        seconds = (time.perf_counter() - started) / len(present)
        results = {}
        # The losses were computed before the last update, which may still have made parameters infinite or NaN.
        sound = torch.stack([member.parameters.sum() for member in stack.members]).isfinite().tolist()
        for index, member in enumerate(stack.members):
            if member not in present:
                continue
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
        """Compares members' outputs, without dropout, to clean images; all members of a lock-step stack at once.

        Args:
            keys: names of the members to evaluate.
            clean: clean images, float32 [N, D], pixels in [0, 1]. They stay on the device, as does the noise, and are
                not copied again where the same array objects are passed again.
            noise: noise of variance 1, float32 [N, D], which is scaled to each member's noise variance and added to the
                clean images; outputs of members with noise are clamped to [0, 1]. None where no member has noise.

        Returns:
            By name, the mean squared error per pixel of each image, float64 [N].
        """
        together = {
            names: stack
            for names, stack in self._stacks.items()
            if isinstance(stack, LockStepStack) and any(key in keys for key in names)
        }
        grouped = {key for names in together for key in names}
        groups = [(names, stack.parameters) for names, stack in together.items()]
        groups += [
            ((key,), member.parameters) for key, member in self._members.items() if key in keys and key not in grouped
        ]
        found: dict[str, np.ndarray] = {}
        for names, parameters in groups:
            deviations = [self._members[key].configuration.noise_variance ** 0.5 for key in names]
            with matmul_precision(self._torch_precision):
                errors = self._judge.per_image_mse(self._workspaces.architecture, parameters, deviations, clean, noise)
            found |= {key: row for key, row in zip(names, errors, strict=True) if key in keys}
        return found

    def reconstruct(self, key: str, inputs: np.ndarray | Tensor) -> Tensor:
        """Returns a member's outputs [N, D] for inputs [N, D] (float in [0, 1]), without dropout, on the device."""
        return self._evaluate(key, inputs, self._workspaces.architecture.reconstruct)

    def encode(self, key: str, inputs: np.ndarray | Tensor) -> Tensor:
        """Returns a member's codes [N, Z] for inputs [N, D]."""
        return self._evaluate(key, inputs, self._workspaces.architecture.encode)

    def divergence(self, key: str, inputs: np.ndarray | Tensor) -> Tensor:
        """Returns the divergence in nats of a variational member's codes for inputs [N, D] from normal ones, [N]."""
        return self._evaluate(key, inputs, self._workspaces.architecture.divergence)

    @torch.no_grad()
    def _evaluate(self, key: str, inputs: np.ndarray | Tensor, function: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        inputs = torch.as_tensor(writable(inputs) if isinstance(inputs, np.ndarray) else inputs)
        inputs = inputs.to(self.device, self.dtype)
        rows = pairs_at_once(self.device)
        with matmul_precision(self._torch_precision):
            chunks = [function(self._members[key].parameters, part) for part in inputs.split(rows)]
        return torch.cat(chunks)

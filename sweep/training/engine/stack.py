"""Training of K models in lock-step for one epoch, each with its own batches, noise, dropout, penalties and rate.

An epoch uses no autograd, and its steps compute in preallocated buffers. Letters: K models, B batch, N images, P
length of a parameter vector.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

import torch
from torch import Tensor

from aesweep.training.engine.member import Member
from aesweep.training.engine.memory_shortage import shortage_as_out_of_memory
from aesweep.training.engine.optimizer import adam_step, decay_weights
from aesweep.training.engine.randomness import epoch_order, stream
from aesweep.training.engine.workspace import Workspace
from aesweep.training.engine.workspaces import Workspaces


class Stack:
    """K members whose parameters lie in one tensor.

    The members' own tensors become rows of the stack's, so nothing needs to be copied back. Where a member moves to
    another stack, that stack copies it out of this one.

    Attributes:
        members: the members.
        parameters: the members' parameters, [K, P]; [P] where there is one member.
    """

    # Which share of the members must be trained for an epoch, if the others are to sit it out in the stack.
    least_share: ClassVar[float] = 1.0

    def __init__(self, members: list[Member], workspaces: Workspaces):
        self.members = members
        self._workspaces = workspaces
        if len(members) == 1:
            # A single model is trained in its own tensors, unless these are rows that keep an old stack in memory.
            members[0].leave_stack()
            self.parameters, self._moment1, self._moment2 = (
                members[0].parameters,
                members[0].moment1,
                members[0].moment2,
            )
            self._gradient = workspaces.gradient(1)[0]
        else:
            for name in ("parameters", "moment1", "moment2"):
                stacked = torch.stack([getattr(member, name) for member in members])
                for member, row in zip(members, stacked, strict=True):
                    setattr(member, name, row)
                setattr(self, name if name == "parameters" else f"_{name}", stacked)
            self._gradient = workspaces.gradient(len(members))
        self._layers = workspaces.views(self.parameters)
        self._gradients = workspaces.views(self._gradient)
        self._gradient_rows = list(self._gradient.view(len(members), -1))
        self._num_weights = workspaces.layout.num_weights
        self._configurations = [member.configuration for member in members]
        self._has_noise = any(configuration.noise_variance for configuration in self._configurations)
        self._has_dropout = any(configuration.dropout for configuration in self._configurations)
        self._sparse_code = [configuration.sparse_code for configuration in self._configurations]
        self._draws_codes = getattr(workspaces.architecture, "is_variational", False)
        self._beta = [c.beta for c in self._configurations] if self._draws_codes else None
        self._has_penalty = any(c.l1 or c.l2 or c.sparse_code for c in self._configurations)
        self._has_other_terms = self._draws_codes or any(c.likelihood != "gaussian" for c in self._configurations)

    @torch.no_grad()
    def train_epoch(
        self, images: Tensor, batch_size: int, present: Collection[Member] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Trains members on every image once; the last batch may be smaller.

        Where the device's memory does not suffice, the members are restored to their state before the epoch.

        Args:
            images: training images, uint8 [N, D] on the stack's device.
            batch_size: images per batch, B.
            present: the members to train, at least `least_share` of all; None for all. The others' state stays as it
                is, to the bit.

        Returns:
            Mean squared error per pixel and penalties of every step, both float64 [steps, K] on the CPU; without
            meaning for members that are not present.

        Raises:
            torch.OutOfMemoryError: the device has not enough memory.
        """
        trained = self.members if present is None else [member for member in self.members if member in present]
        before = [
            (*(tensor.clone() for tensor in (m.parameters, m.moment1, m.moment2, m.step_counter)), m.step, m.epoch)
            for m in trained
        ]
        try:
            with shortage_as_out_of_memory():
                return self._train_epoch(images, batch_size, trained)
        except torch.OutOfMemoryError:
            for member, (*tensors, step, epoch) in zip(trained, before, strict=True):
                own = (member.parameters, member.moment1, member.moment2, member.step_counter)
                for tensor, saved in zip(own, tensors, strict=True):
                    tensor.copy_(saved)
                member.step, member.epoch = step, epoch
            raise

    def _train_epoch(self, images: Tensor, batch_size: int, present: Collection[Member]) -> tuple[Tensor, Tensor]:
        device = images.device
        num_models, num_images = len(self.members), len(images)
        steps_per_epoch = -(-num_images // batch_size)
        orders = [epoch_order(member.seed, member.epoch + 1, num_images) for member in self.members]
        order = torch.stack(orders).to(device)
        noise = [stream(member.seed, "noise", member.epoch + 1, device) for member in self.members]
        dropout = [stream(member.seed, "dropout", member.epoch + 1, device) for member in self.members]
        codes = [stream(member.seed, "code", member.epoch + 1, device) for member in self.members]
        errors = torch.zeros(steps_per_epoch, num_models, dtype=self.parameters.dtype, device=device)
        penalties = torch.zeros_like(errors)
        batches = []
        for step, start in enumerate(range(0, num_images, batch_size)):
            indices = order[:, start : start + batch_size]
            batches.append(indices.shape[1])
            workspace = self._workspaces.get(num_models, indices.shape[1])
            workspace.gather(images, indices.reshape(-1))
            inputs = self._add_noise(workspace, noise) if self._has_noise else workspace.clean
            if self._has_dropout:
                self._draw_masks(workspace, dropout)
            if self._draws_codes:
                for draws, generator in zip(workspace.of_each(workspace.draws), codes, strict=True):
                    draws.normal_(generator=generator)
            workspace.forward(self._layers, inputs, self._has_dropout)
            workspace.differ(errors[step])
            workspace.backward(self._layers, self._gradients, inputs, self._has_dropout, self._sparse_code, self._beta)
            if self._has_other_terms:
                penalties[step] += workspace.other_terms(self._beta)
            if self._has_penalty:
                self._penalize(workspace, penalties[step])
            self._update(steps_per_epoch)
        for member in self.members:
            member.epoch += 1
        pixels = torch.tensor(batches, dtype=torch.float64) * images.shape[1]
        return errors.cpu().double() / pixels.unsqueeze(1), penalties.cpu().double()

    def _add_noise(self, workspace: Workspace, generators: list[torch.Generator]) -> Tensor:
        each = zip(workspace.of_each(workspace.noisy), self._configurations, generators, strict=True)
        for noisy, configuration, generator in each:
            if configuration.noise_variance:
                noisy.normal_(0, configuration.noise_variance**0.5, generator=generator)
            else:
                noisy.zero_()
        return workspace.noisy.add_(workspace.clean)

    def _draw_masks(self, workspace: Workspace, generators: list[torch.Generator]) -> None:
        for mask in workspace.masks.values():
            each = zip(workspace.of_each(mask), self._configurations, generators, strict=True)
            for rows, configuration, generator in each:
                if configuration.dropout:
                    keep = 1 - configuration.dropout
                    rows.bernoulli_(keep, generator=generator).div_(keep)
                else:
                    rows.fill_(1)

    def _penalize(self, workspace: Workspace, penalties: Tensor) -> None:
        """Adds the gradients of the penalties on weights, and adds the values of all penalties to `penalties`, [K]."""
        codes = workspace.of_each(workspace.code)
        for index, (member, gradient, code) in enumerate(zip(self.members, self._gradient_rows, codes, strict=True)):
            configuration = member.configuration
            weights = member.parameters[: self._num_weights]
            gradient = gradient[: self._num_weights]
            if configuration.l1:
                penalties[index] += configuration.l1 * torch.linalg.vector_norm(weights, 1)
                gradient.add_(weights.sign(), alpha=configuration.l1)
            if configuration.l2:
                penalties[index] += configuration.l2 * torch.dot(weights, weights)
                gradient.add_(weights, alpha=2 * configuration.l2)
            if configuration.sparse_code:
                sum_of_codes = torch.linalg.vector_norm(code, 1)
                penalties[index] += configuration.sparse_code / workspace.batch * sum_of_codes

    def _update(self, steps_per_epoch: int) -> None:
        for member, gradient in zip(self.members, self._gradient_rows, strict=True):
            rate = member.learning_rate(member.step, steps_per_epoch)
            if member.configuration.weight_decay:
                weights = member.parameters[: self._num_weights]
                decay_weights(weights, rate, member.configuration.weight_decay)
            adam_step(member.parameters, gradient, member.moment1, member.moment2, member.step_counter, rate)
            member.step += 1

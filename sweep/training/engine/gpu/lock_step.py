"""Lock-step training for a GPU: every operation of a step works on all members, and none waits for the host.

What differs between members (rates, strengths, keys) lies in tensors [K]; what differs between steps is taken from
tensors [steps, ...] by a counter on the device. So each step is the same operations on the same memory, and can be
captured as a CUDA graph (`cuda_graph.py`). The host prepares the next epoch while the device works. (Nothing here has
run on a GPU yet.)

Letters: K models, B batch, N images, P length of a parameter vector.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection
from types import ModuleType
from typing import ClassVar

import torch
from torch import Tensor

from aesweep.training.engine.gpu import philox as counter_streams
from aesweep.training.engine.gpu.cuda_graph import Capture, RepeatedStep, capture_as_cuda_graph
from aesweep.training.engine.member import Member
from aesweep.training.engine.optimizer import BETA1, BETA2, EPSILON
from aesweep.training.engine.randomness import epoch_order, stream_key
from aesweep.training.engine.stack import Stack
from aesweep.training.engine.workspace import Workspace
from aesweep.training.engine.workspaces import Workspaces


def update_plainly(
    parameters: Tensor, gradient: Tensor, moment1: Tensor, moment2: Tensor, scalars: Tensor, constants: Tensor,
    present: Tensor, num_weights: int, has_penalty: bool,
) -> None:  # fmt: skip
    """Applies the penalties' gradients, decoupled decay and a step of Adam to a stack, in place.

    Models that are not present keep their parameters and moments to the bit, whatever their gradient is: a product with
    zero would not do, because zero times infinity is not a number. This is the reference of the kernel
    `aesweep.training.engine.gpu.kernels.update`.

    Args:
        parameters: parameters, [K, P].
        gradient: gradient of the objective without the penalties on weights, [K, P]; overwritten.
        moment1: running mean of the gradient, [K, P].
        moment2: running mean of the squared gradient, [K, P].
        scalars: per member, the rate over the first bias correction, the square root of the second bias correction,
            1 - rate * weight decay, L1, and twice L2, [K, 5].
        constants: beta1, 1 - beta1, beta2, 1 - beta2, epsilon, [5].
        present: 1 for each model that is trained and 0 for others, int32 [K].
        num_weights: length of the front of a parameter vector that holds the weights, to which penalties and decay
            apply.
        has_penalty: whether any member has L1 or L2.
    """
    step_size, root, decay, l1, twice_l2 = scalars.T.unsqueeze(-1)
    keep1, add1, keep2, add2, epsilon = constants
    before = [tensor.clone() for tensor in (parameters, moment1, moment2)]
    weights = parameters[:, :num_weights]
    if has_penalty:
        gradient[:, :num_weights] += l1 * weights.sign() + twice_l2 * weights
    weights.mul_(decay)
    moment1.mul_(keep1).add_(add1 * gradient)
    moment2.mul_(keep2).add_(add2 * gradient * gradient)
    parameters.sub_(step_size * moment1 / (moment2.sqrt() / root + epsilon))
    for tensor, old in zip((parameters, moment1, moment2), before, strict=True):
        tensor.copy_(torch.where(present.bool().unsqueeze(1), tensor, old))


@dataclasses.dataclass(frozen=True)
class Agenda:
    """Inputs in which the steps and epochs differ: one agenda is prepared on the host, one is in use on the device.

    Attributes:
        order: indices of the images of each whole batch, member by member, int64 [whole, K * B].
        last: indices of the images of the smaller batch that is left over, int64 [1, K * rest].
        noise_keys: keys of the members' noise streams, int64 [K].
        dropout_keys: keys of the members' dropout streams, int64 [K].
        code_keys: keys of the members' streams of drawn codes, int64 [K].
        scalars: each member's scalars for the update of each step, see `update_plainly`, [steps, K, 5].
    """

    order: Tensor
    last: Tensor
    noise_keys: Tensor
    dropout_keys: Tensor
    code_keys: Tensor
    scalars: Tensor

    def tensors(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in dataclasses.fields(self)]

    def pinned(self) -> Agenda:
        """Returns a copy in pinned memory, from which a GPU can fetch while the host continues."""
        return Agenda(*(tensor.pin_memory() if tensor.numel() else tensor for tensor in self.tensors()))

    def empty_on(self, device: torch.device) -> Agenda:
        """Returns an uninitialized agenda of the same shapes on a device."""
        return Agenda(*(torch.empty(tensor.shape, dtype=tensor.dtype, device=device) for tensor in self.tensors()))

    def take(self, other: Agenda) -> None:
        """Copies another agenda into this one's memory, without waiting for the device."""
        for mine, theirs in zip(self.tensors(), other.tensors(), strict=True):
            mine.copy_(theirs, non_blocking=True)


@dataclasses.dataclass(frozen=True)
class _Desk:
    """Memory that a stack's steps read and write from epoch to epoch; it is not moved, so a captured step stays valid.

    Attributes:
        images: training images, uint8 [N, D].
        agenda: agenda of the epoch under training.
        errors: summed squared error of each step, [steps, K].
        penalties: value of the penalties of each step, [steps, K].
        repeat: runs the step of a whole batch.
    """

    images: Tensor
    agenda: Agenda
    errors: Tensor
    penalties: Tensor
    repeat: RepeatedStep


class LockStepStack(Stack):
    """K members that are trained by operations on all of them at once.

    Members that sit an epoch out are computed like the others, and not updated, so that a captured step stays valid
    whoever is trained. Their share of an epoch is in vain.
    """

    # The capture function of each type of device that supports one.
    capture: ClassVar[dict[str, Capture]] = {"cuda": capture_as_cuda_graph}
    # Reckoned, not measured: 64 models on 54,000 images are predicted to take 0.8 s an epoch, so that a quarter of them
    # wastes 0.2 s; a new stack takes 0.1 to 0.2 s, to copy states, draw orders on the host, and capture a step.
    least_share: ClassVar[float] = 0.75

    def __init__(self, members: list[Member], workspaces: Workspaces):
        super().__init__(members, workspaces)
        self._num_models = len(members)
        joint = (self.parameters, self._gradient, self._moment1, self._moment2)
        self._stacked = [tensor.view(self._num_models, -1) for tensor in joint]
        options = {"dtype": self.parameters.dtype, "device": self.parameters.device}
        self._options = options
        self._constants = torch.tensor([BETA1, 1 - BETA1, BETA2, 1 - BETA2, EPSILON], dtype=torch.float64).to(**options)
        self._has_weight_penalty = any(c.l1 or c.l2 for c in self._configurations)
        self._has_sparse_code = any(self._sparse_code)

        def each(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64).to(**options)

        self._l1, self._l2 = each([c.l1 for c in self._configurations]), each([c.l2 for c in self._configurations])
        self._sparse = each(self._sparse_code)
        self._betas = each(self._beta) if self._draws_codes else None
        self._ones = torch.ones(self._num_models, **options)
        self._deviations = each([c.noise_variance**0.5 for c in self._configurations])
        self._kept = each([1 - c.dropout for c in self._configurations])
        self._step = torch.zeros(1, dtype=torch.int64, device=options["device"])
        self._present = torch.ones(self._num_models, dtype=torch.int32, device=options["device"])
        self._trained = [True] * self._num_models  # what `_present` holds
        self._squared_errors = torch.empty(self._num_models, **options)
        self._current: _Desk | None = None
        self._next: tuple[list[int], Agenda] | None = None  # members' epochs before it, and the agenda

    @functools.cached_property
    def _kernels(self) -> ModuleType | None:
        """The Triton kernels, or None where the stack is not on a GPU."""
        if self.parameters.device.type != "cuda":
            return None
        from aesweep.training.engine.gpu import kernels

        return kernels

    def _train_epoch(self, images: Tensor, batch_size: int, present: Collection[Member]) -> tuple[Tensor, Tensor]:
        num_images = len(images)
        batch_size = min(batch_size, num_images)
        whole, rest = divmod(num_images, batch_size)
        steps = whole + bool(rest)
        done = [member.epoch for member in self.members]
        known, agenda = self._next or (None, None)
        if known != done:
            agenda = self._draw_up(num_images, batch_size)
        work = self._desk(images, agenda)
        work.agenda.take(agenda)
        self._step.zero_()
        trained = [member in present for member in self.members]
        if trained != self._trained:
            self._present.copy_(torch.tensor(trained, dtype=torch.int32))
            self._trained = trained

        def step() -> None:
            self._train_step(work, work.agenda.order.index_select(0, self._step))

        with torch.cuda.device_of(images):
            for _ in range(whole):
                work.repeat(step)
            if rest:
                self._train_step(work, work.agenda.last)
        for member in present:
            member.step += steps
            member.step_counter.fill_(member.step)
            member.epoch += 1
        if all(member.active for member in self.members):
            self._next = ([member.epoch for member in self.members], self._draw_up(num_images, batch_size))
        pixels = torch.full((steps, 1), batch_size * images.shape[1], dtype=torch.float64)
        if rest:
            pixels[-1] = rest * images.shape[1]
        return work.errors.cpu().double() / pixels, work.penalties.cpu().double()

    def _draw_up(self, num_images: int, batch_size: int) -> Agenda:
        """Returns the agenda of the members' next epoch, on the host."""
        whole, rest = divmod(num_images, batch_size)
        orders = torch.stack([epoch_order(member.seed, member.epoch + 1, num_images) for member in self.members])
        cut = orders[:, : whole * batch_size].view(self._num_models, whole, batch_size)
        keys = [
            torch.tensor([stream_key(member.seed, purpose, member.epoch + 1) for member in self.members])
            for purpose in ("noise", "dropout", "code")
        ]
        agenda = Agenda(
            cut.transpose(0, 1).reshape(whole, -1),
            orders[:, whole * batch_size :].reshape(1, -1),
            *keys,
            self._scalars(whole + bool(rest)),
        )
        return agenda.pinned() if self.parameters.device.type == "cuda" else agenda

    def _desk(self, images: Tensor, agenda: Agenda) -> _Desk:
        """Returns the memory of the steps: the existing one where the images are the same object, else a new one."""
        if self._current is None or self._current.images is not images:
            errors, penalties = (torch.zeros(len(agenda.scalars), self._num_models, **self._options) for _ in range(2))
            # Where many lack memory for a capture, fewer of them go in lock-step; a single one does without it.
            repeat = RepeatedStep(self.capture.get(images.device.type), is_needed=self._num_models > 1)
            self._current = _Desk(images, agenda.empty_on(images.device), errors, penalties, repeat)
        return self._current

    def _train_step(self, work: _Desk, indices: Tensor) -> None:
        """Trains all members for one step. All memory that it reads and writes is the same from step to step."""
        num_models, agenda = self._num_models, work.agenda
        workspace = self._workspaces.get(num_models, indices.numel() // num_models)
        workspace.gather(work.images, indices.view(-1))
        streams = self._kernels or counter_streams
        inputs = workspace.clean
        if self._has_noise:
            inputs = workspace.noisy
            clean, noisy = (tensor.view(num_models, -1) for tensor in (workspace.clean, inputs))
            streams.add_noise(noisy, clean, agenda.noise_keys, self._deviations, self._step)
        if self._has_dropout:
            for layer, mask in workspace.masks.items():
                streams.draw_masks(mask.view(num_models, -1), agenda.dropout_keys, self._kept, self._step, layer)
        if self._draws_codes:
            draws = workspace.draws.view(num_models, -1)
            streams.add_noise(draws, torch.zeros_like(draws), agenda.code_keys, self._ones, self._step)
        workspace.forward(self._layers, inputs, self._has_dropout)
        workspace.differ(self._squared_errors)
        work.errors.index_copy_(0, self._step, self._squared_errors.unsqueeze(0))
        sparse_code = self._sparse if self._has_sparse_code else None
        workspace.backward(self._layers, self._gradients, inputs, self._has_dropout, sparse_code, self._betas)
        if self._has_penalty or self._has_other_terms:
            work.penalties.index_copy_(0, self._step, self._penalties(workspace).unsqueeze(0))
        update = self._kernels.update if self._kernels else update_plainly
        now = agenda.scalars.index_select(0, self._step).squeeze(0)
        update(*self._stacked, now, self._constants, self._present, self._num_weights, self._has_weight_penalty)
        self._step += 1

    def _scalars(self, steps: int) -> Tensor:
        """Returns each member's scalars for the update of each step, [steps, K, 5]; computed in float64."""
        rates = torch.tensor(
            [[member.learning_rate(member.step + step, steps) for member in self.members] for step in range(steps)],
            dtype=torch.float64,
        )
        done = torch.tensor([member.step for member in self.members], dtype=torch.float64)
        count = done + torch.arange(1, steps + 1, dtype=torch.float64).unsqueeze(1)
        decays = torch.tensor([c.weight_decay for c in self._configurations], dtype=torch.float64)
        l1 = torch.tensor([c.l1 for c in self._configurations], dtype=torch.float64).expand_as(rates)
        l2 = torch.tensor([c.l2 for c in self._configurations], dtype=torch.float64).expand_as(rates)
        columns = [rates / (1 - BETA1**count), (1 - BETA2**count).sqrt(), 1 - rates * decays, l1, 2 * l2]
        return torch.stack(columns, -1).to(self.parameters.dtype)

    def _penalties(self, workspace: Workspace) -> Tensor:
        """Returns each member's value of all penalties, [K]."""
        total = torch.zeros(self._num_models, **self._options)
        if self._has_weight_penalty:
            weights = self._stacked[0][:, : self._num_weights]
            total += self._l1 * torch.linalg.vector_norm(weights, 1, dim=1)
            total += self._l2 * torch.linalg.vector_norm(weights, dim=1).square()
        if self._has_other_terms:
            total += workspace.other_terms(self._betas)
        if self._has_sparse_code:
            codes = workspace.code.view(self._num_models, -1)
            total += self._sparse / workspace.batch * torch.linalg.vector_norm(codes, 1, dim=1)
        return total

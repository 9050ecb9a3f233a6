"""Members in lock-step as a GPU wants it: every operation of a step works on all of them, and none waits for the host.

What differs between members (rates, strengths, keys) lies in tensors [K]; what differs between steps is taken from
tensors [steps, ...] by a counter on the device. So each step is the same operations on the same memory, and can be
captured as a CUDA graph (`cuda_graph.py`). The next epoch is drawn up on the host while the device
works. (Nothing here has run on a GPU yet.)

Letters: K models, B batch, N images, P length of a parameter vector.
"""

from __future__ import annotations

import dataclasses
import functools
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
from aesweep.training.engine.workspace import Workspace, Workspaces


def update_plainly(
    parameters: Tensor, gradient: Tensor, moment1: Tensor, moment2: Tensor, scalars: Tensor, constants: Tensor,
    num_weights: int, has_penalty: bool,
) -> None:  # fmt: skip
    """Penalties' gradients, decoupled decay and a step of Adam on a stack, in place: the reference of the kernel.

    Args:
        parameters: [K, P]; `gradient`, `moment1` and `moment2` alike. The gradient is overwritten.
        gradient: of the objective without the penalties on weights.
        moment1: running mean of the gradient.
        moment2: running mean of its square.
        scalars: [K, 5]: rate over the first bias correction, square root of the second one, 1 - rate * weight decay,
            L1, twice L2.
        constants: beta1, 1 - beta1, beta2, 1 - beta2, epsilon.
        num_weights: of the P, the front that penalties and decay are for.
        has_penalty: whether any member has L1 or L2.
    """
    step_size, root, decay, l1, twice_l2 = scalars.T.unsqueeze(-1)
    keep1, add1, keep2, add2, epsilon = constants
    weights = parameters[:, :num_weights]
    if has_penalty:
        gradient[:, :num_weights] += l1 * weights.sign() + twice_l2 * weights
    weights.mul_(decay)
    moment1.mul_(keep1).add_(add1 * gradient)
    moment2.mul_(keep2).add_(add2 * gradient * gradient)
    parameters.sub_(step_size * moment1 / (moment2.sqrt() / root + epsilon))


@dataclasses.dataclass(frozen=True)
class Agenda:
    """What the steps of an epoch differ in: on the host as it is drawn up, and on the device as it is worked through.

    Attributes:
        order: images of each whole batch, member by member, int64 [whole, K * B].
        last: images of the smaller batch that is left over, int64 [1, K * rest].
        noise_keys: of the members' streams, int64 [K].
        dropout_keys: likewise.
        scalars: what the update of each step needs of each member, see `update_plainly`, [steps, K, 5].
    """

    order: Tensor
    last: Tensor
    noise_keys: Tensor
    dropout_keys: Tensor
    scalars: Tensor

    def tensors(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in dataclasses.fields(self)]

    def pinned(self) -> Agenda:
        """In memory from which a GPU fetches while the host goes on."""
        return Agenda(*(tensor.pin_memory() for tensor in self.tensors()))

    def empty_on(self, device: torch.device) -> Agenda:
        """Of the same shapes, there."""
        return Agenda(*(torch.empty(tensor.shape, dtype=tensor.dtype, device=device) for tensor in self.tensors()))

    def take(self, other: Agenda) -> None:
        """Writes another one over this one."""
        for mine, theirs in zip(self.tensors(), other.tensors(), strict=True):
            mine.copy_(theirs, non_blocking=True)


@dataclasses.dataclass(frozen=True)
class _Desk:
    """What a stack's steps work on from epoch to epoch. It stays where it is, so that a captured step stays right.

    Attributes:
        images: uint8 [N, D].
        agenda: of the epoch under training.
        errors: summed squared error of each step, [steps, K].
        penalties: likewise.
        repeat: the step of a whole batch.
    """

    images: Tensor
    agenda: Agenda
    errors: Tensor
    penalties: Tensor
    repeat: RepeatedStep


class LockStepStack(Stack):
    """K members whose steps are single operations for all."""

    # How a step is captured, by the kind of device that can.
    capture: ClassVar[dict[str, Capture]] = {"cuda": capture_as_cuda_graph}

    def __init__(self, members: list[Member], workspaces: Workspaces):
        super().__init__(members, workspaces)
        self._num_models = len(members)
        joint = (self._parameters, self._gradient, self._moment1, self._moment2)
        self._stacked = [tensor.view(self._num_models, -1) for tensor in joint]
        options = {"dtype": self._parameters.dtype, "device": self._parameters.device}
        self._options = options
        self._constants = torch.tensor([BETA1, 1 - BETA1, BETA2, 1 - BETA2, EPSILON], dtype=torch.float64).to(**options)
        self._has_weight_penalty = any(c.l1 or c.l2 for c in self._configurations)
        self._has_sparse_code = any(self._sparse_code)

        def each(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64).to(**options)

        self._l1, self._l2 = each([c.l1 for c in self._configurations]), each([c.l2 for c in self._configurations])
        self._sparse = each(self._sparse_code)
        self._deviations = each([c.noise_variance**0.5 for c in self._configurations])
        self._kept = each([1 - c.dropout for c in self._configurations])
        self._step = torch.zeros(1, dtype=torch.int64, device=options["device"])
        self._squared_errors = torch.empty(self._num_models, **options)
        self._current: _Desk | None = None
        self._next: tuple[list[int], Agenda] | None = None  # the epochs that members have done before it, and itself

    @functools.cached_property
    def _kernels(self) -> ModuleType | None:
        """The kernels where there is a GPU for them."""
        if self._parameters.device.type != "cuda":
            return None
        from aesweep.training.engine.gpu import kernels

        return kernels

    def _train_epoch(self, images: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
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

        def step() -> None:
            self._train_step(work, work.agenda.order.index_select(0, self._step))

        with torch.cuda.device_of(images):
            for _ in range(whole):
                work.repeat(step)
            if rest:
                self._train_step(work, work.agenda.last)
        for member in self.members:
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
        """What the members' next epoch consists of, on the host."""
        whole, rest = divmod(num_images, batch_size)
        orders = torch.stack([epoch_order(member.seed, member.epoch + 1, num_images) for member in self.members])
        cut = orders[:, : whole * batch_size].view(self._num_models, whole, batch_size)
        keys = [
            torch.tensor([stream_key(member.seed, purpose, member.epoch + 1) for member in self.members])
            for purpose in ("noise", "dropout")
        ]
        agenda = Agenda(
            cut.transpose(0, 1).reshape(whole, -1),
            orders[:, whole * batch_size :].reshape(1, -1),
            *keys,
            self._scalars(whole + bool(rest)),
        )
        return agenda.pinned() if self._parameters.device.type == "cuda" else agenda

    def _desk(self, images: Tensor, agenda: Agenda) -> _Desk:
        """The same one as long as the images are the same."""
        if self._current is None or self._current.images is not images:
            errors, penalties = (torch.zeros(len(agenda.scalars), self._num_models, **self._options) for _ in range(2))
            repeat = RepeatedStep(self.capture.get(images.device.type))
            self._current = _Desk(images, agenda.empty_on(images.device), errors, penalties, repeat)
        return self._current

    def _train_step(self, work: _Desk, indices: Tensor) -> None:
        """One step of all members. Everything that it reads and writes stays where it is from step to step."""
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
        workspace.forward(self.layers, inputs, self._has_dropout)
        workspace.differ(self._squared_errors)
        work.errors.index_copy_(0, self._step, self._squared_errors.unsqueeze(0))
        sparse_code = self._sparse if self._has_sparse_code else None
        workspace.backward(self.layers, self._gradients, inputs, self._has_dropout, sparse_code)
        if self._has_penalty:
            work.penalties.index_copy_(0, self._step, self._penalties(workspace).unsqueeze(0))
        update = self._kernels.update if self._kernels else update_plainly
        now = agenda.scalars.index_select(0, self._step).squeeze(0)
        update(*self._stacked, now, self._constants, self._num_weights, self._has_weight_penalty)
        self._step += 1

    def _scalars(self, steps: int) -> Tensor:
        """What the update of each step needs of each member, [steps, K, 5]; computed in float64."""
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
        return torch.stack(columns, -1).to(self._parameters.dtype)

    def _penalties(self, workspace: Workspace) -> Tensor:
        """The value of all penalties, [K]."""
        total = torch.zeros(self._num_models, **self._options)
        if self._has_weight_penalty:
            weights = self._stacked[0][:, : self._num_weights]
            total += self._l1 * torch.linalg.vector_norm(weights, 1, dim=1)
            total += self._l2 * torch.linalg.vector_norm(weights, dim=1).square()
        if self._has_sparse_code:
            codes = workspace.after[workspace.architecture.code_layer].view(self._num_models, -1)
            total += self._sparse / workspace.batch * torch.linalg.vector_norm(codes, 1, dim=1)
        return total

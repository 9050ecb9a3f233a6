"""Members in lock-step as a GPU wants it: every operation of a step works on all of them, and none waits for the host.

What differs between members (rates, strengths, keys) lies in tensors [K]; what differs between steps is taken from
tensors [steps, ...] by a counter on the device. So each step is the same operations on the same memory, which is also
what capturing a step as a CUDA graph asks for. (It is not captured yet: nothing here has run on a GPU.)

Letters: K models, B batch, N images, P length of a parameter vector.
"""

from __future__ import annotations

import functools
from types import ModuleType

import torch
from torch import Tensor

from sweep.training import counter_streams
from sweep.training.member import Member
from sweep.training.optimizer import BETA1, BETA2, EPSILON
from sweep.training.randomness import epoch_order, stream_key
from sweep.training.stack import Stack
from sweep.training.workspace import Workspace, Workspaces


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


class LockStepStack(Stack):
    """K members whose steps are single operations for all."""

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

    @functools.cached_property
    def _kernels(self) -> ModuleType | None:
        """The kernels where there is a GPU for them."""
        if self._parameters.device.type != "cuda":
            return None
        from sweep.training import kernels

        return kernels

    def _train_epoch(self, images: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
        device, num_models, num_images = images.device, self._num_models, len(images)
        batch_size = min(batch_size, num_images)
        whole, rest = divmod(num_images, batch_size)
        steps = whole + bool(rest)
        orders = torch.stack([epoch_order(member.seed, member.epoch + 1, num_images) for member in self.members])
        # A row for each step: the images of all members, member by member.
        order = orders[:, : whole * batch_size].view(num_models, whole, batch_size).transpose(0, 1).reshape(whole, -1)
        order, last = order.to(device), orders[:, whole * batch_size :].reshape(1, -1).to(device)
        keys = {
            purpose: torch.tensor([stream_key(m.seed, purpose, m.epoch + 1) for m in self.members], device=device)
            for purpose in ("noise", "dropout")
        }
        scalars = self._scalars(steps)
        errors = torch.zeros(steps, num_models, **self._options)
        penalties = torch.zeros_like(errors)
        self._step.zero_()
        for number in range(steps):
            indices = order.index_select(0, self._step) if number < whole else last
            self._train_step(images, indices, keys, scalars, errors, penalties)
        for member in self.members:
            member.step += steps
            member.step_counter.fill_(member.step)
            member.epoch += 1
        pixels = torch.full((steps, 1), batch_size * images.shape[1], dtype=torch.float64)
        if rest:
            pixels[-1] = rest * images.shape[1]
        return errors.cpu().double() / pixels, penalties.cpu().double()

    def _train_step(
        self,
        images: Tensor,
        indices: Tensor,
        keys: dict[str, Tensor],
        scalars: Tensor,
        errors: Tensor,
        penalties: Tensor,
    ) -> None:
        """One step of all members. Everything that it reads and writes stays where it is from step to step."""
        num_models = self._num_models
        workspace = self._workspaces.get(num_models, indices.numel() // num_models)
        workspace.gather(images, indices.view(-1))
        streams = self._kernels or counter_streams
        inputs = workspace.clean
        if self._has_noise:
            inputs = workspace.noisy
            clean, noisy = (tensor.view(num_models, -1) for tensor in (workspace.clean, inputs))
            streams.add_noise(noisy, clean, keys["noise"], self._deviations, self._step)
        if self._has_dropout:
            for layer, mask in workspace.masks.items():
                streams.draw_masks(mask.view(num_models, -1), keys["dropout"], self._kept, self._step, layer)
        workspace.forward(self.layers, inputs, self._has_dropout)
        squared_errors = torch.empty(num_models, **self._options)
        workspace.differ(squared_errors)
        errors.index_copy_(0, self._step, squared_errors.unsqueeze(0))
        sparse_code = self._sparse if self._has_sparse_code else None
        workspace.backward(self.layers, self._gradients, inputs, self._has_dropout, sparse_code)
        if self._has_penalty:
            penalties.index_copy_(0, self._step, self._penalties(workspace).unsqueeze(0))
        update = self._kernels.update if self._kernels else update_plainly
        now = scalars.index_select(0, self._step).squeeze(0)
        update(*self._stacked, now, self._constants, self._num_weights, self._has_weight_penalty)
        self._step += 1

    def _scalars(self, steps: int) -> Tensor:
        """What the update of each step needs of each member, [steps, K, 5]; computed in float64 on the host."""
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
        return torch.stack(columns, -1).to(**self._options)

    def _penalties(self, workspace: Workspace) -> Tensor:
        """The value of all penalties, [K]."""
        total = torch.zeros(self._num_models, **self._options)
        if self._has_weight_penalty:
            weights = self._stacked[0][:, : self._num_weights]
            total += self._l1 * weights.abs().sum(1) + self._l2 * weights.square().sum(1)
        if self._has_sparse_code:
            codes = workspace.after[workspace.architecture.code_layer].view(self._num_models, -1)
            total += self._sparse / workspace.batch * codes.abs().sum(1)
        return total

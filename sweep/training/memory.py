"""Estimate of the device memory that a pack needs, so that the pack is split before it would not fit.

Letters: K members in lock-step, B batch, D pixels, N images, P length of a parameter vector. The estimate counts the
tensors that stay allocated; `HEADROOM` leaves room for operations' temporaries and for the device's driver.
"""

from __future__ import annotations

import dataclasses

import torch

from aesweep.models.dense import Dense
from aesweep.models.family import Architecture
from aesweep.training.engine.products import Bfloat16Products
from aesweep.training.engine.workspaces import workspace_type

# Share of a device's free memory that packs may plan with.
HEADROOM = 0.85


@dataclasses.dataclass(frozen=True)
class PackMemory:
    """Memory that one pack needs, in bytes.

    Attributes:
        images_bytes: the training images, as uint8, and the evaluation: its images and their noise, as float32, and
            the intermediate results for the pairs of an image and a member that it evaluates at a time.
        member_bytes: each member's parameters and Adam's two moments.
        step_bytes: for each member in lock-step, its gradient, the state that is restored where an epoch fails, and the
            buffers of a batch and of an epoch's last, smaller batch.
    """

    images_bytes: int
    member_bytes: int
    step_bytes: int

    def needed(self, num_members: int, members_per_step: int) -> int:
        """Returns the bytes for `num_members` members, of which `members_per_step` are trained in lock-step."""
        return self.images_bytes + num_members * self.member_bytes + members_per_step * self.step_bytes


def pack_memory(
    architecture: Architecture,
    num_images: int,
    batch_size: int,
    num_judging: int = 0,
    judged_at_once: int = 0,
    dtype: torch.dtype = torch.float32,
    bfloat16_products: bool = False,
) -> PackMemory:
    """Returns the most memory that a pack of this shape can need: that of members with noise and dropout.

    Args:
        architecture: the members' architecture.
        num_images: number of training images, N.
        batch_size: images per batch, B.
        num_judging: number of images that members are evaluated on.
        judged_at_once: how many pairs of an image and a member are evaluated at a time.
        dtype: type of the parameters.
        bfloat16_products: whether members are trained with products of bfloat16 matrices.
    """
    item = dtype.itemsize
    num_parameters = architecture.layout.num_elements
    batches = [batch for batch in (min(batch_size, num_images), num_images % batch_size) if batch]
    if num_images <= batch_size:
        batches = [num_images]
    floats = workspace_type(architecture).floats_per_image(architecture)
    step_bytes = sum(batches) * (floats * item + architecture.num_pixels) + 4 * num_parameters * item
    if bfloat16_products and isinstance(architecture, Dense):
        step_bytes += sum(Bfloat16Products.num_bytes(architecture, batch) for batch in batches)
    # The order of an epoch's images, as 64-bit indices.
    step_bytes += num_images * torch.int64.itemsize
    # Evaluation: noisy images; outputs as computed, clamped, and in float64; a layer's vectors before and after it.
    judging = 2 * num_judging * architecture.num_pixels * torch.float32.itemsize
    judging += judged_at_once * (
        architecture.num_pixels * (3 * item + torch.float64.itemsize) + 3 * architecture.largest_layer * item
    )
    return PackMemory(num_images * architecture.num_pixels + judging, 3 * num_parameters * item, step_bytes)

"""What a pack needs of its device's memory, by counting: so that it is split before it would not fit.

Letters: K members in lock-step, B batch, D pixels, N images, P length of a parameter vector. Counted are the tensors
that stay; what an operation needs in passing, and what the device's driver holds, is left to `HEADROOM`.
"""

from __future__ import annotations

import dataclasses

import torch

from aesweep.models.autoencoder import Architecture, Layout

# Share of a device's memory that packs may plan with.
HEADROOM = 0.85


@dataclasses.dataclass(frozen=True)
class PackMemory:
    """The needs of one pack, in bytes.

    Attributes:
        images_bytes: the training images, as uint8, and what judging takes: its images and their noise, as float32, and
            what it computes for so many of them as it looks at in one go.
        member_bytes: each member's parameters and Adam's two moments.
        step_bytes: for each member in lock-step: its gradient, the state that a failed epoch falls back to, and the
            buffers of a batch and of an epoch's last, smaller batch.
    """

    images_bytes: int
    member_bytes: int
    step_bytes: int

    def needed(self, num_members: int, members_per_step: int) -> int:
        """With so many members, of which so many go in lock-step."""
        return self.images_bytes + num_members * self.member_bytes + members_per_step * self.step_bytes


def pack_memory(
    architecture: Architecture,
    num_images: int,
    batch_size: int,
    num_judging: int = 0,
    judged_at_once: int = 0,
    dtype: torch.dtype = torch.float32,
) -> PackMemory:
    """Counts, for members with noise and dropout: the most that a pack of this shape can need.

    Args:
        architecture: the members'.
        num_images: N.
        batch_size: B.
        num_judging: images that members are judged by.
        judged_at_once: how many pairs of an image and a member are looked at in one go.
        dtype: of parameters.
    """
    item = dtype.itemsize
    num_parameters = Layout(architecture).num_elements
    batches = [batch for batch in (min(batch_size, num_images), num_images % batch_size) if batch]
    if num_images <= batch_size:
        batches = [num_images]
    hidden = [i for i in range(architecture.num_layers - 1) if i != architecture.code_layer]
    widths = architecture.widths[1:]
    # `Workspace`: clean and noisy images; before and after each layer, and errors; masks and what they leave.
    floats = 2 * architecture.num_pixels + 2 * sum(widths) + 2 * sum(widths[index] for index in hidden)
    floats += sum(width for i, width in enumerate(widths) if architecture.activation_after(i) != "linear")
    step_bytes = sum(batches) * (floats * item + architecture.num_pixels) + 4 * num_parameters * item
    # An epoch's order, as 64-bit indices.
    step_bytes += num_images * torch.int64.itemsize
    # Judging: noisy images, outputs as they are, cut, and in float64, and a layer's vectors before and after it acts.
    judging = 2 * num_judging * architecture.num_pixels * torch.float32.itemsize
    judging += judged_at_once * (architecture.num_pixels * (3 * item + torch.float64.itemsize) + 3 * max(widths) * item)
    return PackMemory(num_images * architecture.num_pixels + judging, 3 * num_parameters * item, step_bytes)

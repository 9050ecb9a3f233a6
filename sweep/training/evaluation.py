"""Evaluation of models on the device: the error of each image, for a whole stack of models at a time.

On a GPU a member is trained for an epoch in a few milliseconds; to fetch its outputs and compare them on the host would
take ten times as long. So outputs never leave the device. Letters: K models, N images, D pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from aesweep.models.family import Architecture
from aesweep.training.engine.memory_shortage import shortage_as_out_of_memory

# How many pairs of an image and a model are evaluated at a time. On a CPU the outputs of the widest layer for so many
# pairs still fit a core's cache; on a GPU so many keep the device busy.
CPU_PAIRS, GPU_PAIRS = 500, 8192
# How many arrays `Judge` keeps on the device: the two image sets of a search, each with its noise.
MOST_KEPT = 4


def pairs_at_once(device: str) -> int:
    """Returns how many pairs of an image and a model are evaluated at a time on a device."""
    return CPU_PAIRS if torch.device(device).type == "cpu" else GPU_PAIRS


class Judge:
    """Evaluates the models of one device, and keeps the evaluation images and their noise on it.

    Args:
        device: the device that the models are on.
    """

    def __init__(self, device: str):
        self._device = device
        self._pairs = pairs_at_once(device)
        self._kept: dict[int, tuple[np.ndarray, Tensor]] = {}

    @property
    def num_bytes(self) -> int:
        """Size of the images and the noise that are kept on the device, in bytes."""
        return sum(tensor.nbytes for _, tensor in self._kept.values())

    def per_image_mse(
        self,
        architecture: Architecture,
        parameters: Tensor,
        deviations: list[float],
        clean: np.ndarray,
        noise: np.ndarray | None,
    ) -> np.ndarray:
        """Calls the function `per_image_mse` for arrays of the host, in smaller pieces where memory is short.

        Args:
            architecture: the models' architecture.
            parameters: parameters of one model, [P], or of a stack, [K, P].
            deviations: standard deviation of the noise, for each model.
            clean: clean images, float32 [N, D]; an array object that is passed again is not copied to the device again.
            noise: noise of variance 1, float32 [N, D], copied to the device only once as well; None for no noise.

        Returns:
            The mean squared error per pixel of each image, float64 [K, N] on the host.
        """
        strengths = torch.tensor(deviations, dtype=torch.float32, device=self._device)
        if parameters.ndim == 1:
            strengths = strengths[0]
        images, pattern = self._there(clean), None if noise is None else self._there(noise)
        while True:
            rows = max(1, self._pairs // len(deviations))
            try:
                with shortage_as_out_of_memory():
                    errors = per_image_mse(architecture, parameters, images, pattern, strengths, rows)
                    return errors.cpu().numpy().reshape(len(deviations), -1)
            except torch.OutOfMemoryError:
                if rows == 1:
                    raise
                self._pairs //= 2

    def _there(self, images: np.ndarray) -> Tensor:
        if id(images) not in self._kept:
            while len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[id(images)] = (images, torch.as_tensor(writable(images)).to(self._device))
        return self._kept[id(images)][1]


def writable(array: np.ndarray) -> np.ndarray:
    """Returns the array, or a copy of one that is read-only (as in Ray's object store), which torch cannot hold."""
    return array if array.flags.writeable else array.copy()


@torch.no_grad()
def per_image_mse(
    architecture: Architecture,
    parameters: Tensor,
    clean: Tensor,
    noise: Tensor | None,
    deviations: Tensor,
    rows: int,
) -> Tensor:
    """Computes `aesweep.models.metrics.per_image_mse` of models' outputs, without dropout, on the models' device.

    The outputs of a model with noise are clamped to [0, 1] first.

    Args:
        architecture: the models' architecture.
        parameters: parameters of one model, [P], or of a stack, [K, P].
        clean: clean images, float32 [N, D] on the models' device.
        noise: noise of variance 1, float32 [N, D] on the models' device; None where no deviation is above 0.
        deviations: standard deviation of each model's noise, float32 [K]; a scalar for one model.
        rows: how many images are evaluated at a time.

    Returns:
        The mean squared error per pixel of each image, float64 [K, N], or [N] for one model. An image's error is not
        finite where any of its outputs is not.
    """
    dtype = parameters.dtype
    deviations = deviations.view([*deviations.shape, *[1, 1] * deviations.ndim])
    lowest = torch.where(deviations > 0, 0.0, -torch.inf).to(dtype)
    highest = torch.where(deviations > 0, 1.0, torch.inf).to(dtype)
    found = []
    for start in range(0, len(clean), rows):
        targets = clean[start : start + rows]
        shown = targets if noise is None else targets + deviations * noise[start : start + rows]
        outputs = architecture.reconstruct(parameters, shown.to(dtype))
        if noise is not None:
            outputs = outputs.clamp(lowest, highest)
        found.append(outputs.double().sub_(targets).square_().mean(-1))
    return torch.cat(found, -1)

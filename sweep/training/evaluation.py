"""How far members are from the images that judge them: image by image, on the device, a whole stack at a time.

On a GPU a member is trained for an epoch in a few milliseconds; to fetch its outputs and compare them on the host would
take ten times as long. So outputs never leave the device. Letters: K models, N images, D pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from aesweep.models.autoencoder import Architecture, Layer, reconstruct

# Pairs of an image and a model at a time: on a CPU the widest layer of these still fits a core's cache, a GPU is full.
CPU_PAIRS, GPU_PAIRS = 500, 8192
# The two sets of a search with their noise.
MOST_KEPT = 4


def pairs_at_once(device: str) -> int:
    """How many pairs of an image and a model are judged in one go."""
    return CPU_PAIRS if torch.device(device).type == "cpu" else GPU_PAIRS


class Judge:
    """Judges the models of one device, and keeps there what they are judged by.

    Args:
        device: the models'.
    """

    def __init__(self, device: str):
        self._device = device
        self._pairs = pairs_at_once(device)
        self._kept: dict[int, tuple[np.ndarray, Tensor]] = {}

    @property
    def num_bytes(self) -> int:
        """Of the images and the noise that are kept on the device."""
        return sum(tensor.nbytes for _, tensor in self._kept.values())

    def per_image_mse(
        self,
        architecture: Architecture,
        layers: list[Layer],
        deviations: list[float],
        clean: np.ndarray,
        noise: np.ndarray | None,
    ) -> np.ndarray:
        """`per_image_mse` on arrays of the host, float64 [K, N]; in smaller pieces where memory is short.

        Args:
            architecture: the models'.
            layers: of one model, or of a stack of K.
            deviations: for each model.
            clean: float32 [N, D]; the same object again is not copied to the device again.
            noise: likewise, or None.
        """
        strengths = torch.tensor(deviations, dtype=torch.float32, device=self._device)
        if layers[0].weight.ndim == 2:
            strengths = strengths[0]
        images, pattern = self._there(clean), None if noise is None else self._there(noise)
        while True:
            rows = max(1, self._pairs // len(deviations))
            try:
                errors = per_image_mse(architecture, layers, images, pattern, strengths, rows)
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
    """The array, or a copy if it is read-only (as out of Ray's object store), which torch cannot hold."""
    return array if array.flags.writeable else array.copy()


@torch.no_grad()
def per_image_mse(
    architecture: Architecture,
    layers: list[Layer],
    clean: Tensor,
    noise: Tensor | None,
    deviations: Tensor,
    rows: int,
) -> Tensor:
    """`aesweep.models.metrics.per_image_mse` of outputs without dropout, cut to [0, 1] where the images are noisy.

    Args:
        architecture: the models'.
        layers: of one model, or of a stack of K.
        clean: float32 [N, D] on the models' device.
        noise: of variance 1, likewise; None where no deviation is above 0.
        deviations: standard deviation of each model's noise, float32 [K]; a scalar for one model.
        rows: images at a time.

    Returns:
        float64 [K, N], or [N] for one model. What is not finite among an image's outputs makes its error so.
    """
    dtype = layers[0].weight.dtype
    deviations = deviations.view([*deviations.shape, *[1, 1] * deviations.ndim])
    lowest = torch.where(deviations > 0, 0.0, -torch.inf).to(dtype)
    highest = torch.where(deviations > 0, 1.0, torch.inf).to(dtype)
    found = []
    for start in range(0, len(clean), rows):
        targets = clean[start : start + rows]
        shown = targets if noise is None else targets + deviations * noise[start : start + rows]
        outputs = reconstruct(architecture, layers, shown.to(dtype))
        if noise is not None:
            outputs = outputs.clamp(lowest, highest)
        found.append(outputs.double().sub_(targets).square_().mean(-1))
    return torch.cat(found, -1)

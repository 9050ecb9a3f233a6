"""Measures how long training takes an image, on a CPU core or a GPU, by a few steps of a pack."""

from __future__ import annotations

import math
import time

import numpy as np

from aesweep.study.configuration import SHARED, Configuration

# On a GPU an epoch begins with work of the host, which has to weigh as little here as in a whole epoch.
TIMED_STEPS = {"cpu": 8, "cuda": 64}


class StepTimer:
    """Seconds of training per image, measured once for each kind of model and number of members.

    On a core they are seconds of the processor's time, since a single thread trains: what other work takes is not
    counted.

    Args:
        precision: that of the study.
        device: "cpu" or "cuda".
    """

    def __init__(self, precision: str, device: str = "cpu"):
        self._precision = precision
        self._device = device
        self._known: dict[tuple, float] = {}

    def seconds_per_image(
        self, configuration: Configuration, image_shape: tuple[int, ...], num_members: int = 1
    ) -> float:
        """Returns the seconds that an image costs a member of a pack.

        Args:
            configuration: the members' model and batch size.
            image_shape: shape of an image, (C, H, W).
            num_members: number of members that train in lock-step on a GPU, whose seconds they share. On a CPU core
                one trains after the other, so that the number makes no difference.
        """
        num_members = num_members if self._device == "cuda" else 1
        key = (*(getattr(configuration, name) for name in SHARED), image_shape, num_members)
        if key not in self._known:
            self._known[key] = self._measure(configuration, image_shape, num_members)
        return self._known[key]

    def _measure(self, configuration: Configuration, image_shape: tuple[int, ...], num_members: int) -> float:
        import torch

        from aesweep.training.engine.precision import configure_torch
        from aesweep.training.pack import Pack

        configure_torch(num_threads=1, precision=self._precision)
        try:
            num_images = TIMED_STEPS[self._device] * configuration.batch_size
            images = np.random.default_rng(0).integers(0, 256, (num_images, math.prod(image_shape)), dtype=np.uint8)
            pack = Pack(images, image_shape=image_shape, device=self._device, precision=self._precision)
            for number in range(num_members):
                pack.add(f"timed-{number}", configuration, seed=number, epochs=3)
            pack.train_epoch()
            clock = time.perf_counter if self._device == "cuda" else time.process_time
            started = clock()
            pack.train_epoch()  # ends with the members' losses on the host, so nothing is left to wait for
            return (clock() - started) / (num_images * num_members)
        finally:
            # `configure_torch` set this for the current thread, which is the caller's.
            torch.set_flush_denormal(False)

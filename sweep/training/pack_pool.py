"""All packs of one device: which trials share a pack, which pack is next, and how many members train in lock-step.

The module is independent of its callers: `fit` trains a single trial in its own process, a trainer trains many trials.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from aesweep.data.image_data import ImageData
from aesweep.process.wording import plural
from aesweep.search.trial_row import TrialRow
from aesweep.search.trial_spec import TrialSpec, pack_key
from aesweep.storage.artifacts import Files
from aesweep.training.checkpoints.state_file import FOLDER
from aesweep.training.engine.member import architecture_of
from aesweep.training.engine.memory_shortage import release_frames
from aesweep.training.engine.precision import has_bfloat16_products
from aesweep.training.evaluation import pairs_at_once
from aesweep.training.memory import HEADROOM, PackMemory, pack_memory
from aesweep.training.pack import Pack
from aesweep.training.packed_trial import PackedTrial, judge
from aesweep.training.trial_images import count_images, prepare


@dataclasses.dataclass
class _Shared:
    pack: Pack
    memory: PackMemory
    packed_trials: list[PackedTrial] = dataclasses.field(default_factory=list)


class Packs:
    """The packs of one device.

    Args:
        device: "cpu", "cuda", ...; None for a GPU where there is one, else the CPU.
        memory_bytes: memory that all packs together may plan with; None for `HEADROOM` times a GPU's free memory, and
            for no limit on a CPU.
    """

    def __init__(self, device: str | None = None, memory_bytes: int | None = None):
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if memory_bytes is None and torch.device(self.device).type == "cuda":
            memory_bytes = int(HEADROOM * torch.cuda.mem_get_info(self.device)[0])
        self._memory_bytes = memory_bytes
        self._packs: dict[tuple[Any, ...], _Shared] = {}

    def join(self, spec: TrialSpec, images: ImageData, files: Files = FOLDER) -> PackedTrial:
        """Adds a trial to the pack of its kind, to be trained from its newest undamaged state or from the start.

        Args:
            spec: the trial to train.
            images: the trial's data set.
            files: storage for the trial's states and its checkpoint.

        Returns:
            The trial as it trains in the pack.

        Raises:
            MemoryError: the device has no room for the trial, not even for one member at a time.
        """
        key = pack_key(spec)
        shared = self._packs.get(key)
        if shared is None:
            training = prepare(images, spec).training
            image_shape = images.training.shape[1:]
            architecture = architecture_of(spec.configuration, image_shape)
            _, num_judging = count_images(spec, len(images.training))
            memory = pack_memory(
                architecture,
                len(training),
                spec.configuration.batch_size,
                num_judging,
                pairs_at_once(self.device),
                bfloat16_products=spec.precision == "bf16" and has_bfloat16_products(self.device),
            )
            # A pack of another shape that trains on the same images has them on the device already.
            known = {id(other.pack.source): other.pack for other in self._packs.values()}
            like = known.get(id(training))
            pack = Pack(training, image_shape=image_shape, device=self.device, precision=spec.precision, like=like)
            shared = self._packs[key] = _Shared(pack, memory)
        try:
            packed = PackedTrial(spec, images, shared.pack, files)
            shared.packed_trials.append(packed)
            try:
                self._divide_memory(spec)
            except MemoryError:
                self._take_out(shared, packed)
                self._give_up(key)
                self._divide_memory(spec)  # among those that stay, as it was before
                raise
        finally:
            if key in self._packs:
                self._give_up(key)
        return packed

    def leave(self, packed: PackedTrial) -> None:
        """Removes a trial, and its pack after the last trial has left it. A trial that has left is ignored."""
        key = pack_key(packed.spec)
        if key in self._packs and packed in self._packs[key].packed_trials:
            self._take_out(self._packs[key], packed)
            self._give_up(key)
            self._divide_memory(packed.spec)

    @staticmethod
    def _take_out(shared: _Shared, packed: PackedTrial) -> None:
        shared.packed_trials.remove(packed)
        packed.leave()

    def _give_up(self, key: tuple[Any, ...]) -> None:
        """Releases a pack's memory once its last trial has left."""
        if not self._packs[key].packed_trials:
            del self._packs[key]

    def train_epoch(
        self, ready: Callable[[PackedTrial], bool] = lambda packed: True
    ) -> list[tuple[PackedTrial, TrialRow | Exception]]:
        """Trains one epoch of one pack. Packs that have a ready trial take turns.

        Args:
            ready: predicate that returns, for each trial under training, whether it is to be trained now.

        Returns:
            For each trial that was trained, its row, or the exception that prevented one. A trial has left its pack
            after an exception and after its last row. Where memory was short, the first row reports it. The list is
            empty where no trial is ready.
        """
        for key, shared in list(self._packs.items()):
            chosen = [packed for packed in shared.packed_trials if not packed.done and ready(packed)]
            if not chosen:
                continue
            self._packs[key] = self._packs.pop(key)  # moves the pack to the end of the queue
            return self._train(shared, chosen)
        return []

    def _train(self, shared: _Shared, chosen: list[PackedTrial]) -> list[tuple[PackedTrial, TrialRow | Exception]]:
        try:
            results = shared.pack.train_epoch({key for packed in chosen for key in packed.keys})
            judgements = judge(chosen)
        except Exception as error:
            # The error goes to those who wait for the rows; it must not take the pack's memory along.
            release_frames(error)
            for packed in chosen:
                self.leave(packed)
            return [(packed, error) for packed in chosen]
        found: list[tuple[PackedTrial, TrialRow | Exception]] = []
        for packed in chosen:
            try:
                row = packed.row(results, judgements[packed])
                if not found and shared.pack.shortage is not None:
                    short, shared.pack.shortage = shared.pack.shortage, None
                    row = dataclasses.replace(
                        row, members_per_step=short["members_per_step"], memory_reason=short["reason"]
                    )
                found.append((packed, row))
            except Exception as error:
                packed.done = True
                found.append((packed, error))
            if packed.done:
                self.leave(packed)
        return found

    def _divide_memory(self, spec: TrialSpec) -> None:
        """Divides the memory that images and states leave evenly: sets each pack's limit of members in lock-step.

        Raises:
            MemoryError: a pack's share does not suffice for one member; the message names the trial of `spec`.
        """
        if self._memory_bytes is None:
            return
        left = self._memory_bytes
        for shared in self._packs.values():
            left -= shared.memory.needed(len(shared.pack.keys()), 0)
        for shared in self._packs.values():
            room = left // len(self._packs) // shared.memory.step_bytes
            if room < 1:
                raise MemoryError(
                    f"{spec.trial}: the device has {self._memory_bytes / 1e6:.0f} MB for packs, which is too "
                    f"little for {plural(len(self._packs), 'pack')} with this trial: set a smaller "
                    "resources.trials_per_trainer"
                )
            shared.pack.limit_members_per_step(room)

"""All packs of one device: which jobs share one, whose turn it is, and how many members may go in lock-step.

Knows nothing of who asks for rows: `fit` trains a single job in its own process, a trainer those of many trials.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from aesweep.data.image_data import ImageData
from aesweep.process.wording import plural
from aesweep.search.trial_spec import Job, pack_key
from aesweep.storage.artifacts import Files
from aesweep.training.checkpoints.state_file import FOLDER
from aesweep.training.engine.member import architecture_of
from aesweep.training.evaluation import pairs_at_once
from aesweep.training.memory import HEADROOM, PackMemory, pack_memory
from aesweep.training.pack import Pack
from aesweep.training.packed_trial import Trainee, judge
from aesweep.training.trial_images import count_images, prepare


@dataclasses.dataclass
class _Shared:
    pack: Pack
    memory: PackMemory
    trainees: list[Trainee] = dataclasses.field(default_factory=list)


class Packs:
    """The packs of one device.

    Args:
        device: "cpu", "cuda", ...; None for a GPU where there is one.
        memory_bytes: what all packs together may plan with; None for the GPU's, and for any number on a CPU.
    """

    def __init__(self, device: str | None = None, memory_bytes: int | None = None):
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if memory_bytes is None and torch.device(self.device).type == "cuda":
            memory_bytes = int(HEADROOM * torch.cuda.mem_get_info(self.device)[0])
        self._memory_bytes = memory_bytes
        self._packs: dict[tuple[Any, ...], _Shared] = {}

    def join(self, job: Job, images: ImageData, files: Files = FOLDER) -> Trainee:
        """Takes a job into the pack of its kind, from its newest whole state or from the start.

        Args:
            job: what to train.
            images: its data set.
            files: where the states and the checkpoint go that the job names.

        Raises:
            MemoryError: the device has no room for it, not even one member at a time.
        """
        key = pack_key(job)
        shared = self._packs.get(key)
        if shared is None:
            training = prepare(images, job).training
            architecture = architecture_of(job.configuration, training.shape[1])
            _, num_judging = count_images(job, len(images.training))
            memory = pack_memory(
                architecture, len(training), job.configuration.batch_size, num_judging, pairs_at_once(self.device)
            )
            # Packs of other shapes that train on the same images have them on the device already.
            known = {id(other.pack.source): other.pack for other in self._packs.values()}
            pack = Pack(training, device=self.device, precision=job.precision, like=known.get(id(training)))
            shared = self._packs[key] = _Shared(pack, memory)
        try:
            trainee = Trainee(job, images, shared.pack, files)
            shared.trainees.append(trainee)
            try:
                self._divide_memory(job)
            except MemoryError:
                self._take_out(shared, trainee)
                raise
        finally:
            self._give_up(key)
        return trainee

    def leave(self, trainee: Trainee) -> None:
        """Lets a job go; a pack without any is given up. Nothing happens where it has gone already."""
        key = pack_key(trainee.job)
        if key in self._packs and trainee in self._packs[key].trainees:
            self._take_out(self._packs[key], trainee)
            self._give_up(key)
            self._divide_memory(trainee.job)

    @staticmethod
    def _take_out(shared: _Shared, trainee: Trainee) -> None:
        shared.trainees.remove(trainee)
        trainee.leave()

    def _give_up(self, key: tuple[Any, ...]) -> None:
        """A pack, if nobody is in it."""
        if not self._packs[key].trainees:
            del self._packs[key]

    def train_epoch(
        self, ready: Callable[[Trainee], bool] = lambda trainee: True
    ) -> list[tuple[Trainee, dict[str, Any] | Exception]]:
        """Trains one epoch of one pack: of the one whose turn it is, among those with a job that is ready.

        Args:
            ready: asked for every job under training: whether it is to be trained now.

        Returns:
            A row for each job that was trained, or why there is none: that job is out of its pack, and so is one whose
            last row this is. Where memory was short, a row holds `memory_short` (members_per_step, reason). Empty where
            no job is ready.
        """
        for key, shared in list(self._packs.items()):
            chosen = [trainee for trainee in shared.trainees if not trainee.done and ready(trainee)]
            if not chosen:
                continue
            self._packs[key] = self._packs.pop(key)  # to the end of the queue
            return self._train(shared, chosen)
        return []

    def _train(self, shared: _Shared, chosen: list[Trainee]) -> list[tuple[Trainee, dict[str, Any] | Exception]]:
        try:
            results = shared.pack.train_epoch({key for trainee in chosen for key in trainee.keys})
            judgements = judge(chosen)
        except Exception as error:
            for trainee in chosen:
                self.leave(trainee)
            return [(trainee, error) for trainee in chosen]
        found: list[tuple[Trainee, dict[str, Any] | Exception]] = []
        for trainee in chosen:
            try:
                row = trainee.row(results, judgements[trainee])
                if not found and shared.pack.shortage is not None:
                    row["memory_short"], shared.pack.shortage = shared.pack.shortage, None
                found.append((trainee, row))
            except Exception as error:
                trainee.done = True
                found.append((trainee, error))
            if trainee.done:
                self.leave(trainee)
        return found

    def _divide_memory(self, job: Job) -> None:
        """Says to each pack how many members may go in lock-step: what images and states leave is divided evenly."""
        if self._memory_bytes is None:
            return
        left = self._memory_bytes
        for shared in self._packs.values():
            left -= shared.memory.needed(len(shared.pack.keys()), 0)
        for shared in self._packs.values():
            room = left // len(self._packs) // shared.memory.step_bytes
            if room < 1:
                raise MemoryError(
                    f"{job.trial}: the device has {self._memory_bytes / 1e6:.0f} MB for packs, which is too "
                    f"little for {plural(len(self._packs), 'pack')} with this trial: set a smaller "
                    "resources.trials_per_trainer"
                )
            shared.pack.limit_members_per_step(room)

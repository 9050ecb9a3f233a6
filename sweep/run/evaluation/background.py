"""What the driver computes while workers train: baselines, and the imports that the end of a run needs."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from aesweep.data.image_data import ImageData
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.events import Baseline
from aesweep.storage.run_state import RETRAINING, RunState
from aesweep.study.configuration import Configuration


class Background:
    """A thread that executes one task after the other during a `with` block, which waits for it at its end.

    The tasks take no longer than the training does.

    Args:
        stop_requested: once it returns true, the task under way ends early, and its result is not to be used.
    """

    def __init__(self, stop_requested: Callable[[], bool]):
        self._stop_requested = stop_requested
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=self._stop_requested())

    def validation_baselines(
        self, stage: str, specs: list[TrialSpec], images: dict[str, ImageData]
    ) -> Future[list[Baseline]]:
        """Starts computing the baselines that the cells of a stage are compared with."""

        def found() -> Iterable[dict[str, Any]]:
            from aesweep.run.evaluation.baselines import validation_baselines

            for dataset, mine in images.items():
                here = [spec for spec in specs if spec.dataset == dataset]
                if here:
                    yield from validation_baselines(here, mine, stage)

        return self._thread.submit(self._collected, found())

    def test_baselines(self, state: RunState, split_seed: int, images: ImageData) -> Future[list[Baseline]]:
        """Starts computing the baselines that a data set's winners are compared with on the test set.

        They are those of all configurations that were searched on the data set.
        """
        searched = dict.fromkeys(
            Configuration.from_dict(trial.created.configuration)
            for trial in state.trials.values()
            if trial.stage != RETRAINING and trial.created.dataset == images.name
        )

        def found() -> Iterable[dict[str, Any]]:
            from aesweep.run.evaluation.baselines import test_baselines

            yield from test_baselines(searched, split_seed, images)

        return self._thread.submit(self._collected, found())

    def prepare_pictures(self) -> None:
        """Imports the module that takes the pictures ahead of time, since it imports torch, which takes seconds."""
        self._thread.submit(importlib.import_module, "aesweep.run.evaluation.example_images")

    def _collected(self, found: Iterable[dict[str, Any]]) -> list[Baseline]:
        return [Baseline(**fields) for fields in itertools.takewhile(lambda _: not self._stop_requested(), found)]

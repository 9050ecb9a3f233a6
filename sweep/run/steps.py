"""The two steps of a run: the search of a stage, and the retraining of the winners with their baselines and pictures.

Each step continues from the point that the journal records.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable
from typing import Any

from aesweep.cluster.runner import Cluster
from aesweep.data.image_data import ImageData
from aesweep.run.evaluation.background import Background
from aesweep.run.record import Record
from aesweep.search.extension import since_extended
from aesweep.search.recorder import Recorder
from aesweep.search.replay import after_retraining, replay, stage_seconds
from aesweep.search.retraining import Retraining, retrainings
from aesweep.search.schedulers.asha import Asha, asha_of
from aesweep.search.stages import Segment, opening_events, segments
from aesweep.search.suggestions import SuggestedTrials
from aesweep.search.trial_queue import TrialQueue
from aesweep.search.trial_spec import TrialSpec
from aesweep.search.winners import winner_events
from aesweep.storage.event import Event, TrialStatus
from aesweep.storage.events import CheckpointLost, Codes, ModelLost, Pictures, StageEnded
from aesweep.storage.named_files import lost_files
from aesweep.storage.run_folder import CHECKPOINTS, STATES, RunFolder, checkpoint_name
from aesweep.storage.run_state import RETRAINING, RunState, TrialState
from aesweep.study.resources import Resources
from aesweep.study.schema import Stage, Study


class Steps:
    """Trains and records what the journal does not hold yet.

    Args:
        study, folder, images: the run's study, folder and data sets.
        record: the run's record, opened.
        cluster: where trials train.
        resources: on what they train, with a number of trainers.
        stop_requested: polled continually; once it returns true, a step ends early, and a later session resumes it.
        state_interval_s: seconds between two saved states of a trial, from which a killed training resumes.
    """

    def __init__(
        self,
        study: Study,
        folder: RunFolder,
        images: dict[str, ImageData],
        record: Record,
        cluster: Cluster,
        resources: Resources,
        stop_requested: Callable[[], bool],
        state_interval_s: float,
    ):
        self._study = study
        self._folder = folder
        self._images = images
        self._record = record
        self._state = record.state
        self._cluster = cluster
        self._resources = resources
        self._stop_requested = stop_requested
        self._state_interval_s = state_interval_s

    def search(self, name: str) -> None:
        """Trains a stage's trials, and records its baselines and winners."""
        stage = self._study.stages[name]
        started = time.monotonic()
        earlier = RunState(self._state.events)
        parts = segments(self._study, earlier, name)
        specs = [spec for part in parts for spec in part.specs]
        self._take_up({spec.trial for spec in specs}, name)
        self._record.add_missing(opening_events(parts), earlier.events)
        ashas = {spec.rivals: asha_of(part.stage, spec.bracket) for part in parts for spec in part.specs}
        replay(ashas, specs, earlier, self._folder.journal)
        recorder = Recorder(self._record.add, stage.metric, ashas, self._state.trials)
        suggestions = self._suggestions(parts, recorder, ashas)
        # Winners are recorded after the baselines, so recorded winners show that the baselines are recorded too.
        is_compared = name in earlier.stages and bool(earlier.stages[name].cell_winners)
        with Background(self._stop_requested) as background:
            if suggestions is None:
                baselines = background.validation_baselines(name, [] if is_compared else specs, self._images)
            left = [spec for spec in specs if not _has_ended(earlier.trials.get(spec.trial))]
            self._train(left, recorder, suggestions)
            if suggestions is not None and not self._stop_requested():
                # Which latent dimensions and variances are searched is known now.
                found = [spec for part in segments(self._study, self._state, name) for spec in part.specs]
                baselines = background.validation_baselines(name, found, self._images)
        if not self._stop_requested():
            self._record.add_missing(baselines.result(), earlier.events)
            winners = winner_events(self._state, name, stage.mode, self._images)
            self._record.add_missing(winners, since_extended(earlier, name))
            self._record_end(name, started, earlier)

    def _suggestions(self, parts: list[Segment], recorder: Recorder, ashas: dict[Any, Asha]) -> SuggestedTrials | None:
        """Returns the trials that a sampler still suggests, each opened when it is made; None where there are none."""
        if not any(part.slots for part in parts):
            return None

        def begin(spec: TrialSpec, stage: Stage) -> TrialSpec:
            ashas.setdefault(spec.rivals, asha_of(stage, spec.bracket))
            (opened,) = self._opened([spec], recorder)
            return opened

        return SuggestedTrials(parts, self._state, self._record.add, begin, self._stop_requested)

    def retrain(self, retry: bool) -> None:
        """Trains the winners on the full data, and records the test set's baselines and pictures.

        Args:
            retry: train failed retrainings again.
        """
        started = time.monotonic()
        earlier = RunState(self._state.events)
        owed = retrainings(self._study, earlier)
        mine = {retraining.spec.trial for retraining in owed}
        self._take_up(mine, None)
        lost = lost_files(self._folder, earlier)
        for trial in lost.checkpoints.keys() & mine:
            self._record.add(CheckpointLost(trial=trial, reason=lost.checkpoints[trial]))
        for trial, reason in lost.models.items():
            self._record.add(ModelLost(trial=trial, reason=reason))
        left = [
            retraining.spec
            for retraining in owed
            if not _has_ended(self._state.trials.get(retraining.spec.trial), but_failed=retry)
        ]
        for retraining in owed:
            if retraining.spec.trial not in self._state.trials:
                num_images = len(self._images[retraining.spec.dataset].training)
                self._record.add(retraining.created(num_images))
        known = after_retraining(earlier, lost.pictures)
        pictured = {event.dataset for event in known if isinstance(event, Pictures)} - {spec.dataset for spec in left}
        with Background(self._stop_requested) as background:
            if owed:
                background.prepare_pictures()
            baselines = {
                dataset: background.test_baselines(earlier, self._study.seed, self._images[dataset])
                for dataset in dict.fromkeys(retraining.spec.dataset for retraining in owed)
                if dataset not in pictured
            }
            self._train(left, Recorder(self._record.add, "training_mse", {}, self._state.trials))
        if self._stop_requested():
            return
        known = after_retraining(self._state, lost.pictures)
        done = [retraining for retraining in owed if self._state.trials[retraining.spec.trial].result]
        for dataset, images in self._images.items():
            here = [retraining for retraining in done if retraining.spec.dataset == dataset]
            if here:
                compared_with = baselines[dataset].result() if dataset in baselines else []
                self._record_test(dataset, images, here, compared_with, known)
        if not any(isinstance(event, StageEnded) and event.stage == RETRAINING for event in known):
            self._record_end(RETRAINING, started, earlier)

    def _take_up(self, trials: set[str], stage: str | None) -> None:
        """Passes to the callbacks what earlier sessions recorded of these trials, and of the stage if there is one."""
        known = self._state.events
        self._record.take_up(
            [e for e in known if (stage and getattr(e, "stage", "") == stage) or getattr(e, "trial", "") in trials]
        )

    def _record_end(self, stage: str, started: float, earlier: RunState) -> None:
        seconds = stage_seconds(earlier, stage) + time.monotonic() - started
        self._record.add(StageEnded(stage=stage, seconds=round(seconds, 3)))

    def _record_test(
        self, dataset: str, images: ImageData, done: list[Retraining], baselines: list[Event], known: list[Event]
    ) -> None:
        """Records baselines and pictures of the test set, except those that are recorded already."""
        from aesweep.run.evaluation.codes import code_pictures, judge_codes
        from aesweep.run.evaluation.example_images import plain_winners, take_pictures

        mine = [event for event in known if isinstance(event, Pictures) and event.dataset == dataset]
        pictured = {(event.stage, event.purpose) for event in mine}
        if not pictured:
            self._record.add_missing(baselines, known)
        codes = [event for event in self._state.events if isinstance(event, Codes) and event.dataset == dataset]
        judged = {(event.method, event.latent_dim, event.retraining) for event in codes}
        for fields in judge_codes(self._folder, images, plain_winners(done), judged):
            self._record.add(Codes(**fields))
        what = (self._folder, self._study, images, done, pictured)
        for fields in itertools.chain(take_pictures(*what), code_pictures(*what)):
            self._record.add(Pictures(**fields))

    def _train(self, specs: list[TrialSpec], recorder: Recorder, suggestions: SuggestedTrials | None = None) -> None:
        queue = TrialQueue(self._opened(specs, recorder), suggestions)
        if queue:
            self._cluster.train(
                queue, recorder=recorder, resources=self._resources, stop_requested=self._stop_requested
            )

    def _opened(self, specs: list[TrialSpec], recorder: Recorder) -> list[TrialSpec]:
        """Opens trials, and returns those with epochs left to train, with what a worker needs to know besides."""
        specs = [
            dataclasses.replace(
                spec,
                checkpoint=f"{CHECKPOINTS}/{checkpoint_name(spec.trial)}",
                states=STATES,
                state_interval_s=self._state_interval_s,
                recorded=self._state.trials[spec.trial].epochs,
            )
            for spec in specs
        ]
        return [spec for spec in specs if recorder.open(spec)]


def _has_ended(trial: TrialState | None, but_failed: bool = False) -> bool:
    """Returns whether a trial ended in an earlier session; with `but_failed`, a failed trial counts as not ended."""
    if trial is None or trial.status is None:
        return False
    return not (but_failed and trial.status is TrialStatus.FAILED)

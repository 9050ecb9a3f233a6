"""The two steps of a run: the search of a stage, and the retraining of the winners with what is compared with them.

Each is taken up wherever the journal says that it stands.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from aesweep.cluster.runner import Cluster
from aesweep.data.image_data import ImageData
from aesweep.run.evaluation.background import Background
from aesweep.run.record import Record
from aesweep.search.recorder import Recorder
from aesweep.search.replay import Standing, after_retraining, replay, stage_seconds, standings
from aesweep.search.retraining import Retraining, retrainings
from aesweep.search.schedulers.asha import Asha
from aesweep.search.stages import opening_events, segments, since_extended
from aesweep.search.trial_spec import Job
from aesweep.search.winners import winner_events
from aesweep.storage.named_files import lost_files
from aesweep.storage.run_folder import CHECKPOINTS, STATES, RunFolder, checkpoint_name
from aesweep.study.schema import Study


class Steps:
    """What is trained and recorded, from what the journal holds.

    Args:
        study, folder, images: of the run.
        record: its journal, open.
        cluster: where trials train.
        stop_requested: asked all the time; once true, a step ends early and is taken up again by a later session.
        state_interval_s: time between two states from which a killed training goes on.
    """

    def __init__(
        self,
        study: Study,
        folder: RunFolder,
        images: dict[str, ImageData],
        record: Record,
        cluster: Cluster,
        stop_requested: Callable[[], bool],
        state_interval_s: float,
    ):
        self._study = study
        self._folder = folder
        self._images = images
        self._record = record
        self._events = record.events
        self._cluster = cluster
        self._stop_requested = stop_requested
        self._state_interval_s = state_interval_s

    def search(self, name: str) -> None:
        """Trains a stage's trials, and records its baselines and winners."""
        mode, metric = self._study.stages[name].mode, self._study.stages[name].metric
        parts = segments(self._study, self._events, name)
        jobs = [job for segment in parts for job in segment.jobs]
        started = time.monotonic()
        earlier = list(self._events)
        mine = {job.trial for job in jobs}
        self._record.take_up([e for e in earlier if e.get("stage") == name or e.get("trial") in mine])
        self._record.add_missing(opening_events(name, parts), earlier)
        known = standings(earlier)
        factor = self._study.stages[name].asha.reduction_factor
        ashas = {job.rivals: Asha(segment.stage.rungs(), factor, mode) for segment in parts for job in segment.jobs}
        replay(ashas, jobs, earlier, self._folder.journal)
        # Winners are recorded once the baselines are.
        compared = any(event["kind"] == "cell_winner" and event["stage"] == name for event in earlier)
        with Background(self._stop_requested) as background:
            baselines = background.validation_baselines(name, [] if compared else jobs, self._images)
            self._train([job for job in jobs if not _ended(job, known)], metric, ashas)
        if not self._stop_requested():
            self._record.add_missing((("baseline", fields) for fields in baselines.result()), earlier)
            since = since_extended(earlier, name)
            self._record.add_missing(winner_events(self._events, name, mode, self._images), since)
            seconds = stage_seconds(earlier, name) + time.monotonic() - started
            self._record.add("stage_ended", stage=name, seconds=round(seconds, 3))

    def retrain(self, retry: bool) -> None:
        """Trains the winners on the full data, and records the test set's baselines and pictures.

        Args:
            retry: train those again that have failed.
        """
        owed = retrainings(self._study, self._events)
        started = time.monotonic()
        earlier = list(self._events)
        mine = {retraining.job.trial for retraining in owed}
        self._record.take_up([event for event in earlier if event.get("trial") in mine])
        lost = lost_files(self._folder, earlier)
        for trial in lost.checkpoints.keys() & mine:
            self._record.add("checkpoint_lost", trial=trial, reason=lost.checkpoints[trial])
        for trial, reason in lost.models.items():
            self._record.add("model_lost", trial=trial, reason=reason)
        standing = standings(self._events)
        for retraining in owed:
            if retraining.job.trial not in standing:
                num_images = len(self._images[retraining.job.dataset].training)
                self._record.add("retraining_created", **retraining.created(num_images))
        jobs = [retraining.job for retraining in owed if not _ended(retraining.job, standing, retry)]
        known = after_retraining(earlier, lost.pictures)
        pictured = set() if jobs else {event["dataset"] for event in known if event["kind"] == "pictures"}
        with Background(self._stop_requested) as background:
            if owed:
                background.prepare_pictures()
            baselines = {
                dataset: background.test_baselines(earlier, self._study.seed, self._images[dataset])
                for dataset in dict.fromkeys(retraining.job.dataset for retraining in owed)
                if dataset not in pictured
            }
            self._train(jobs, "training_mse", {})
        if self._stop_requested():
            return
        known = after_retraining(self._events, lost.pictures)
        retrained = {event["trial"] for event in self._events if event["kind"] == "retrained"}
        done = [retraining for retraining in owed if retraining.job.trial in retrained]
        for dataset, images in self._images.items():
            here = [retraining for retraining in done if retraining.job.dataset == dataset]
            if here:
                compared_with = baselines[dataset].result() if dataset in baselines else []
                self._record_test(dataset, images, here, compared_with, known)
        if not any(event["kind"] == "stage_ended" and event["stage"] == "retraining" for event in known):
            seconds = stage_seconds(earlier, "retraining") + time.monotonic() - started
            self._record.add("stage_ended", stage="retraining", seconds=round(seconds, 3))

    def _record_test(
        self,
        dataset: str,
        images: ImageData,
        done: list[Retraining],
        baselines: list[dict[str, Any]],
        known: list[dict[str, Any]],
    ) -> None:
        """Records baselines and pictures of the test set, but for those that are known."""
        from aesweep.run.evaluation.example_images import take_pictures

        mine = [event for event in known if event["kind"] == "pictures" and event["dataset"] == dataset]
        pictured = {(event["stage"], event["purpose"]) for event in mine}
        if not pictured:
            self._record.add_missing((("baseline", fields) for fields in baselines), known)
        for fields in take_pictures(self._folder, self._study, images, done, skip=pictured):
            self._record.add("pictures", **fields)

    def _train(self, jobs: list[Job], metric: str, ashas: dict[Any, Asha]) -> None:
        standing = standings(self._events)
        recorder = Recorder(self._record.add, metric, ashas, standing)
        jobs = [
            dataclasses.replace(
                job,
                checkpoint=f"{CHECKPOINTS}/{checkpoint_name(job.trial)}",
                states=STATES,
                state_interval_s=self._state_interval_s,
                recorded=standing[job.trial].epochs,
            )
            for job in jobs
        ]
        jobs = [job for job in jobs if recorder.open(job)]
        if jobs:
            self._cluster.train(
                jobs, recorder=recorder, resources=self._study.resources, stop_requested=self._stop_requested
            )


def _ended(job: Job, standing: dict[str, Standing], retry: bool = False) -> bool:
    """Whether a job came to its end in an earlier session; a failure is no end where it is to be tried again."""
    status = standing[job.trial].status if job.trial in standing else None
    return status is not None and not (retry and status == "failed")

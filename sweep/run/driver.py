"""A run from its first line to its report: stage after stage, then the retraining of the winners, then the report.

The journal leads: what a later step needs to know of an earlier one is taken from the events, as a reader would.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import yaml

from aesweep.cluster.runner import Cluster
from aesweep.data.image_data import ImageData
from aesweep.process.errors import JournalError
from aesweep.process.signals import Interruption
from aesweep.run.callbacks.progress import Progress
from aesweep.run.command_options import resume_command
from aesweep.run.evaluation.background import Beside
from aesweep.run.outcome import Outcome, outcome_of
from aesweep.run.preflight.environment import describe_environment
from aesweep.run.record import Record
from aesweep.search.recorder import Recorder
from aesweep.search.replay import (
    Standing,
    after_retraining,
    check_images,
    is_over,
    replay,
    stage_seconds,
    standings,
    unrecorded_seconds,
)
from aesweep.search.retraining import Retraining, retrainings
from aesweep.search.schedulers.asha import Asha
from aesweep.search.stages import has_ended, opening_events, segments, since_extended
from aesweep.search.trial_spec import Job
from aesweep.search.winners import winner_events
from aesweep.storage.atomic_file import write_whole
from aesweep.storage.named_files import lost_files
from aesweep.storage.replica import Replica
from aesweep.storage.run_folder import CHECKPOINTS, STATES, RunFolder, checkpoint_name
from aesweep.study.image_places import relative_places
from aesweep.study.inputs import describe_images, read_reference
from aesweep.study.schema import Study


class Run:
    """One execution of a study.

    Args:
        study: what to run.
        folder: the run's, held against other writers.
        images: the study's data sets.
        events: what the journal holds; none where the run is new.
        progress: follows the events.
        interruption: asked whether to stop.
        num_workers: trials at once on this machine.
        address: of a Ray cluster; None for this machine alone.
        num_gpus: to wait for, up to `gpu_wait_s`, before training on a cluster; None for what one trial needs.
        replica: where the run is kept as well; None for its folder alone.
        options: of the command, for the record, see `aesweep.run.command_options`.
        state_interval_s: how much of a trial's training a kill may cost, about; what it goes on from is kept so often.
    """

    def __init__(
        self,
        study: Study,
        folder: RunFolder,
        images: dict[str, ImageData],
        events: list[dict[str, Any]],
        *,
        progress: Progress,
        interruption: Interruption,
        num_workers: int,
        address: str | None = None,
        num_gpus: int | None = None,
        gpu_wait_s: float = 900.0,
        replica: Replica | None = None,
        options: dict[str, Any] | None = None,
        state_interval_s: float = 30.0,
    ):
        self._study = study
        self._folder = folder
        self._images = images
        self._progress = progress
        self._interruption = interruption
        self._workers, self._gpus = (num_workers, address), (num_gpus, gpu_wait_s)
        self._state_interval_s = state_interval_s
        self._options = options or {}
        self._record = Record(folder, events, progress, replica)
        self._events = self._record.events

    def execute(self, command: list[str]) -> Outcome:
        """Runs every stage, retrains the winners and records everything; the report is the caller's to write.

        Nothing is recorded before all that is needed is there, so that what is refused leaves no run.

        Args:
            command: the command line, for the record.
        """
        with self._record:
            return self._session(lambda: self._record_start(command))

    def resume(self, command: list[str]) -> Outcome:
        """Goes on with a run that was interrupted or killed; what is recorded is not repeated.

        Args:
            command: the command line, for the record.

        Raises:
            JournalError: the record is that of other images, another study or another version.
        """

        def begin() -> None:
            standing = standings(self._events)
            self._folder.discard_states(keep={name for name, found in standing.items() if found.status is None})
            self._record.add(
                "resumed",
                **self._command(command),
                environment=describe_environment(),
                num_workers=self._workers[0],
                unrecorded_seconds=unrecorded_seconds(self._events),
            )

        with self._record:
            check_images(self._events, describe_images(self._study, self._images), self._folder.journal)
            if is_over(self._events) and not lost_files(self._folder, self._events):
                self._progress.say("nothing is left to do")
                return outcome_of(self._events, None)
            return self._session(begin)

    def extend(self, command: list[str], stages: dict[str, dict[str, int]]) -> Outcome:
        """Adds to a finished run, see `aesweep.search.stages`.

        Args:
            command: the command line, for the record.
            stages: for each stage that is extended, the number of `samples` or of `epochs` that it has from now on.

        Raises:
            JournalError: the run is not finished, or its record is that of other images.
        """
        check_images(self._events, describe_images(self._study, self._images), self._folder.journal)
        if not is_over(self._events):
            raise JournalError(
                f"{self._folder.journal}: the run has not ended, so there is nothing to add to yet: "
                f"`{resume_command(self._folder.root, self._options)}` goes on with it"
            )
        with self._record:
            return self._session(lambda: self._record.add("extended", **self._command(command), stages=stages))

    def execute_retraining(self, command: list[str], epochs: int | None = None, seeds: int | None = None) -> Outcome:
        """Trains the winners of a finished search that the journal does not hold yet, also those that failed.

        Args:
            command: the command line, for the record.
            epochs: instead of the study's; None for the study's.
            seeds: as `epochs`.

        Raises:
            JournalError: a stage of the search has not ended, or the record is that of other images.
        """
        check_images(self._events, describe_images(self._study, self._images), self._folder.journal)
        open_stages = [stage for stage in self._study.stages if not has_ended(self._events, stage)]
        if open_stages:
            raise JournalError(
                f"{self._folder.journal}: stage {open_stages[0]} has not ended, so the search's winners are not known: "
                f"`{resume_command(self._folder.root, self._options)}` goes on with it"
            )

        def begin() -> None:
            if epochs or seeds:
                self._record.add("retraining_asked", **self._command(command), epochs=epochs, seeds=seeds)

        with self._record:
            return self._session(begin, retry=True)

    def _session(self, begin: Callable[[], Any], retry: bool = False) -> Outcome:
        """Everything that the journal does not hold yet, after what `begin` records."""
        started = time.monotonic()
        self._interruption.defer()
        kept = self._record.files, *self._workers, self._folder.scratch, self._interruption
        with Cluster(self._images, *kept) as cluster:
            cluster.find_room(self._study.resources, *self._gpus, self._progress.say, self._interruption.requested)
            if self._interruption.requested():
                return outcome_of(self._events, self._interruption.signal_number)
            begin()
            for stage in self._study.stages:
                if not self._interruption.requested() and not has_ended(self._events, stage):
                    self._search(cluster, stage)
            if not self._interruption.requested():
                self._retrain(cluster, retry)
        outcome = outcome_of(self._events, self._interruption.signal_number)
        if outcome.status != "interrupted":
            self._folder.discard_states()
        self._record.add("run_ended", status=outcome.status, seconds=round(time.monotonic() - started, 3))
        return outcome

    def _command(self, command: list[str], study: Study | None = None) -> dict[str, Any]:
        """What is recorded of the command at work; with the study, where its images lie as well."""
        places = relative_places(study, self._options, self._folder.root)
        found = {"command": command, "options": self._options, "places": places}
        return {name: value for name, value in found.items() if value}

    def _record_start(self, command: list[str]) -> None:
        reference = self._study.report.reference
        write_whole(self._folder.study, yaml.safe_dump(self._study.resolved(), sort_keys=False))
        self._record.add(
            "run_started",
            study=self._study.resolved(),
            study_hash=self._study.sha256(),
            **self._command(command, self._study),
            environment=describe_environment(),
            num_workers=self._workers[0],
            reference=read_reference(reference) if reference else None,
            datasets=describe_images(self._study, self._images),
        )

    def _search(self, cluster: Cluster, name: str) -> None:
        mode, metric = self._study.stages[name].mode, self._study.stages[name].metric
        found = segments(self._study, self._events, name)
        jobs = [job for segment in found for job in segment.jobs]
        started = time.monotonic()
        earlier = list(self._events)
        mine = {job.trial for job in jobs}
        self._progress.recall([e for e in earlier if e.get("stage") == name or e.get("trial") in mine])
        self._record.add_missing(opening_events(name, found), earlier)
        standing = standings(earlier)
        factor = self._study.stages[name].asha.reduction_factor
        ashas = {job.rivals: Asha(segment.stage.rungs(), factor, mode) for segment in found for job in segment.jobs}
        replay(ashas, jobs, earlier, self._folder.journal)
        # Winners are recorded once the baselines are.
        compared = any(event["kind"] == "cell_winner" and event["stage"] == name for event in earlier)
        with Beside(self._interruption.requested) as beside:
            baselines = beside.validation_baselines(name, [] if compared else jobs, self._images)
            self._train(cluster, [job for job in jobs if not _ended(job, standing)], metric, ashas)
        if not self._interruption.requested():
            self._record.add_missing((("baseline", fields) for fields in baselines.result()), earlier)
            known = since_extended(earlier, name)
            self._record.add_missing(winner_events(self._events, name, mode, self._images), known)
            seconds = stage_seconds(earlier, name) + time.monotonic() - started
            self._record.add("stage_ended", stage=name, seconds=round(seconds, 3))

    def _retrain(self, cluster: Cluster, retry: bool) -> None:
        owed = retrainings(self._study, self._events)
        started = time.monotonic()
        earlier = list(self._events)
        mine = {retraining.job.trial for retraining in owed}
        self._progress.recall([event for event in earlier if event.get("trial") in mine])
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
        with Beside(self._interruption.requested) as beside:
            if owed:
                beside.prepare_pictures()
            baselines = {
                dataset: beside.test_baselines(earlier, self._study.seed, self._images[dataset])
                for dataset in dict.fromkeys(retraining.job.dataset for retraining in owed)
                if dataset not in pictured
            }
            self._train(cluster, jobs, "training_mse", {})
        if self._interruption.requested():
            return
        known = after_retraining(self._events, lost.pictures)
        retrained = {event["trial"] for event in self._events if event["kind"] == "retrained"}
        done = [retraining for retraining in owed if retraining.job.trial in retrained]
        for dataset, images in self._images.items():
            here = [retraining for retraining in done if retraining.job.dataset == dataset]
            if here:
                found = baselines[dataset].result() if dataset in baselines else []
                self._record_test(dataset, images, here, found, known)
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
        for found in take_pictures(self._folder, self._study, images, done, skip=pictured):
            self._record.add("pictures", **found)

    def _train(self, cluster: Cluster, jobs: list[Job], metric: str, ashas: dict[Any, Asha]) -> None:
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
            stop_requested = self._interruption.requested
            cluster.train(jobs, recorder=recorder, resources=self._study.resources, stop_requested=stop_requested)


def _ended(job: Job, standing: dict[str, Standing], retry: bool = False) -> bool:
    """Whether a job came to its end in an earlier session; a failure is no end where it is to be tried again."""
    status = standing[job.trial].status if job.trial in standing else None
    return status is not None and not (retry and status == "failed")

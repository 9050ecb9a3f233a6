"""Drives a run: stage after stage, then the retraining of the winners. The caller writes the report.

The journal is the source of all state: what a later step needs to know of an earlier one is taken from the events, as
any reader of the journal would take it. The steps themselves are in `steps.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import yaml

from aesweep.cluster.runner import Cluster
from aesweep.data.image_data import ImageData
from aesweep.process.errors import JournalError
from aesweep.process.signals import Interruption
from aesweep.run.callbacks.callback import Callback
from aesweep.run.command_options import resume_command
from aesweep.run.outcome import Outcome, outcome_of
from aesweep.run.preflight.device_choice import choose_devices, time_on_both
from aesweep.run.preflight.environment import describe_environment
from aesweep.run.preflight.work import Work
from aesweep.run.record import Record
from aesweep.run.settings import RunSettings
from aesweep.run.steps import Steps
from aesweep.search.replay import check_images, unrecorded_seconds
from aesweep.storage.atomic_file import write_whole
from aesweep.storage.event import RunStatus
from aesweep.storage.events import Extended, Resumed, RetrainingAsked, RunEnded, RunStarted
from aesweep.storage.named_files import lost_files
from aesweep.storage.replica import Replica
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.image_places import relative_places
from aesweep.study.inputs import describe_images, read_reference
from aesweep.study.resources import Resources
from aesweep.study.schema import Study

TIMING_LIMIT_S = 120.0  # for timed steps on a GPU, whose first use builds kernels


class Run:
    """One execution of a study.

    Args:
        study: the study to run.
        folder: the run's folder, locked against other writers.
        images: the study's data sets, by name.
        state: what the journal holds; an empty state for a new run.
        settings: how the run is carried out.
        interruption: tells whether a signal has asked the run to stop.
        callbacks: receive every event that is recorded.
        say: shows the user a line.
        announce: called once everything that the run needs is there, before anything is recorded.
        replica: copy of the run in a storage; None if the run is kept in its folder alone.
    """

    def __init__(
        self,
        study: Study,
        folder: RunFolder,
        images: dict[str, ImageData],
        state: RunState,
        settings: RunSettings,
        interruption: Interruption,
        *,
        callbacks: Sequence[Callback] = (),
        say: Callable[[str], None] = lambda message: None,
        announce: Callable[[], None] = lambda: None,
        replica: Replica | None = None,
    ):
        self._study = study
        self._folder = folder
        self._images = images
        self._settings = settings
        self._interruption = interruption
        self._say = say
        self._announce = announce
        self._record = Record(folder, state, callbacks, replica)
        self._state = state
        self._decided: dict[str, Any] | None = None

    def execute(self, command: list[str]) -> Outcome:
        """Runs every stage, retrains the winners and records everything; the caller writes the report.

        Nothing is recorded before everything that is needed is available, so that a run that is refused leaves no
        record.

        Args:
            command: the command line, which is recorded.
        """
        with self._record:
            return self._session(lambda: self._record_start(command))

    def resume(self, command: list[str]) -> Outcome:
        """Resumes a run that was interrupted or killed; what is recorded is not repeated.

        Args:
            command: the command line, which is recorded.

        Raises:
            JournalError: the record is that of other images, another study or another version.
        """
        with self._record:
            self._check_images()
            if self._state.is_over and not lost_files(self._folder, self._state):
                self._say("nothing is left to do")
                return outcome_of(self._state, None)
            return self._session(lambda: self._record_resumption(command))

    def extend(self, command: list[str], stages: dict[str, dict[str, int]]) -> Outcome:
        """Adds samples or epochs to a finished run, see `aesweep.search.stages`.

        Args:
            command: the command line, which is recorded.
            stages: for each stage that is extended, the number of `samples` or of `epochs` that it has from now on.

        Raises:
            JournalError: the run is not finished, or its record is that of other images.
        """
        self._check_images()
        if not self._state.is_over:
            raise JournalError(
                f"{self._folder.journal}: the run has not ended, so there is nothing to add to yet: "
                f"`{resume_command(self._folder.root, self._settings.options)}` goes on with it"
            )
        with self._record:
            return self._session(lambda: self._record.add(Extended(**self._command(command), stages=stages)))

    def execute_retraining(self, command: list[str], epochs: int | None = None, seeds: int | None = None) -> Outcome:
        """Retrains the winners of a finished search whose retraining the journal does not hold yet, or holds as failed.

        Args:
            command: the command line, which is recorded.
            epochs: number of epochs of each retraining; None for the study's.
            seeds: number of seeds of each winner; None for the study's.

        Raises:
            JournalError: a stage of the search has not ended, or the record is that of other images.
        """
        self._check_images()
        open_stages = [stage for stage in self._study.stages if not self._state.has_ended(stage)]
        if open_stages:
            raise JournalError(
                f"{self._folder.journal}: stage {open_stages[0]} has not ended, so the search's winners are not known: "
                f"`{resume_command(self._folder.root, self._settings.options)}` goes on with it"
            )

        def begin() -> None:
            if epochs or seeds:
                self._record.add(RetrainingAsked(**self._command(command), epochs=epochs, seeds=seeds))

        with self._record:
            return self._session(begin, retry=True)

    def _check_images(self) -> None:
        check_images(self._state, describe_images(self._study, self._images), self._folder.journal)

    def _session(self, begin: Callable[[], Any], retry: bool = False) -> Outcome:
        """Calls `begin`, which records the start of the session, then does what the journal does not hold yet."""
        started, settings, stop_requested = time.monotonic(), self._settings, self._interruption.requested
        self._interruption.defer()
        with Cluster(
            self._images,
            self._record.files,
            settings.most_at_once,
            settings.address,
            self._folder.scratch,
            self._interruption,
        ) as cluster:
            cluster.wait_for_gpus(
                self._study.resources, settings.num_gpus, settings.gpu_wait_s, self._say, stop_requested
            )
            resources = self._decide_resources(cluster)
            if not stop_requested():
                cluster.check_room(resources)
            if stop_requested():
                return outcome_of(self._state, self._interruption.signal_number)
            self._announce()
            begin()
            steps = Steps(
                self._study,
                self._folder,
                self._images,
                self._record,
                cluster,
                resources,
                stop_requested,
                settings.state_interval_s,
            )
            for stage in self._study.stages:
                if not stop_requested() and not self._state.has_ended(stage):
                    steps.search(stage)
            if not stop_requested():
                steps.retrain(retry)
        outcome = outcome_of(self._state, self._interruption.signal_number)
        if outcome.status is not RunStatus.INTERRUPTED:
            self._folder.discard_states()
        self._record.add(RunEnded(status=outcome.status, seconds=round(time.monotonic() - started, 3)))
        return outcome

    def _decide_resources(self, cluster: Cluster) -> Resources:
        """Returns on what trials train, with a number of trainers; says so where the study leaves it open."""
        study, settings = self._study, self._settings
        if not study.resources.is_auto or self._interruption.requested():
            return study.resources

        def time_steps(work: list[Work]) -> tuple[list[float], list[float]]:
            held = study.resources.gpus_per_trainer
            return cluster.call_on_gpu(time_on_both, work, study.precision, num_gpus=held, limit_s=TIMING_LIMIT_S)

        choice = choose_devices(
            study,
            {name: (len(images.training), images.training.shape[1:]) for name, images in self._images.items()},
            cluster.nodes(),
            settings.options.get("workers"),
            time_steps,
            self._state.resources,
        )
        self._decided = choice.recorded()
        if not self._interruption.requested():  # which ends the timing as well
            self._say(f"training on {choice.reason}")
        return choice.resources

    def _command(self, command: list[str], study: Study | None = None) -> dict[str, Any]:
        """Returns the fields that are recorded of the command; given the study, these include its images' places."""
        options = self._settings.options
        places = relative_places(study, options, self._folder.root)
        fields = {"command": command, "options": options, "places": places, "resources": self._decided}
        return {name: value for name, value in fields.items() if value}

    def _record_start(self, command: list[str]) -> None:
        reference = self._study.report.reference
        write_whole(self._folder.study, yaml.safe_dump(self._study.resolved(), sort_keys=False))
        self._record.add(
            RunStarted(
                study=self._study.resolved(),
                study_hash=self._study.sha256(),
                **self._command(command, self._study),
                environment=describe_environment(),
                num_workers=self._settings.num_workers,
                reference=read_reference(reference) if reference else None,
                datasets=describe_images(self._study, self._images),
            )
        )

    def _record_resumption(self, command: list[str]) -> None:
        self._folder.discard_states(keep={name for name, trial in self._state.trials.items() if trial.status is None})
        self._record.add(
            Resumed(
                **self._command(command),
                environment=describe_environment(),
                num_workers=self._settings.num_workers,
                unrecorded_seconds=unrecorded_seconds(self._state),
            )
        )

"""A run from its first line to its report: stage after stage, then the retraining of the winners, then the report.

The journal leads: what a later step needs to know of an earlier one is taken from the events, as a reader would. What
each step does is told in `steps.py`.
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
from aesweep.run.preflight.environment import describe_environment
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
from aesweep.study.schema import Study


class Run:
    """One execution of a study.

    Args:
        study: what to run.
        folder: the run's, held against other writers.
        images: the study's data sets.
        state: what the journal holds; a new one where the run is new.
        settings: how it is carried out.
        interruption: asked whether to stop.
        callbacks: follow what is recorded.
        say: tells the user a line.
        replica: where the run is kept as well; None for its folder alone.
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
        replica: Replica | None = None,
    ):
        self._study = study
        self._folder = folder
        self._images = images
        self._settings = settings
        self._interruption = interruption
        self._say = say
        self._record = Record(folder, state, callbacks, replica)
        self._state = state

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
        with self._record:
            self._check_images()
            if self._state.is_over and not lost_files(self._folder, self._state):
                self._say("nothing is left to do")
                return outcome_of(self._state, None)
            return self._session(lambda: self._record_resumption(command))

    def extend(self, command: list[str], stages: dict[str, dict[str, int]]) -> Outcome:
        """Adds to a finished run, see `aesweep.search.stages`.

        Args:
            command: the command line, for the record.
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
        """Trains the winners of a finished search that the journal does not hold yet, also those that failed.

        Args:
            command: the command line, for the record.
            epochs: instead of the study's; None for the study's.
            seeds: as `epochs`.

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
        """Everything that the journal does not hold yet, after what `begin` records."""
        started, settings, stop_requested = time.monotonic(), self._settings, self._interruption.requested
        self._interruption.defer()
        with Cluster(
            self._images,
            self._record.files,
            settings.num_workers,
            settings.address,
            self._folder.scratch,
            self._interruption,
        ) as cluster:
            resources = self._study.resources
            cluster.find_room(resources, settings.num_gpus, settings.gpu_wait_s, self._say, stop_requested)
            if stop_requested():
                return outcome_of(self._state, self._interruption.signal_number)
            begin()
            steps = Steps(
                self._study,
                self._folder,
                self._images,
                self._record,
                cluster,
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

    def _command(self, command: list[str], study: Study | None = None) -> dict[str, Any]:
        """What is recorded of the command at work; with the study, where its images lie as well."""
        options = self._settings.options
        places = relative_places(study, options, self._folder.root)
        fields = {"command": command, "options": options, "places": places}
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

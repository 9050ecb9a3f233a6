"""A command's work on a run: alone in its folder, under progress and signals, with a report at its end."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from aesweep.data.datasets import ImageData
from aesweep.process.errors import AesweepError, ReportError
from aesweep.process.signals import Interruption
from aesweep.run.callbacks.progress import Progress
from aesweep.run.command_options import left_out, resume_command, with_remembered
from aesweep.run.outcome import Outcome
from aesweep.run.preflight.environment import num_cores
from aesweep.run.settings import RunSettings, SessionSettings
from aesweep.search.replay import recorded_study
from aesweep.storage.event import RunStatus
from aesweep.storage.event_reader import read_events
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.image_places import ImagePlaces
from aesweep.study.schema import Study

if TYPE_CHECKING:
    from aesweep.run.driver import Run
    from aesweep.storage.replica import Replica


class Session:
    """One command's work on a run: holds the run, takes the signals, shows progress, and says how it ended.

    In a `with` block:

        with Session(folder, settings) as session:
            session.conclude(session.run(study, images, state, options).execute(command))
        sys.exit(session.exit_code)

    Args:
        folder: the run.
        settings: the command's.
    """

    def __init__(self, folder: RunFolder, settings: SessionSettings):
        self._folder = folder
        self._settings = settings
        self._options: Mapping[str, Any] = {}
        self._replica: Replica | None = None
        self._outcome: Outcome | None = None
        self._has_report = False
        self._progress = Progress(Console(stderr=True, highlight=False), settings.quiet)
        self._interruption = Interruption()
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> Session:
        with contextlib.ExitStack() as ends:
            ends.enter_context(self._interruption)
            gone = ends.enter_context(self._folder.one_writer())
            ends.enter_context(self._interruption.last_step(self._let_go))
            if gone:
                root = self._folder.root
                click.echo(f"{gone} had locked {root} and does not run any more: its lock is taken over", err=True)
            ends.enter_context(self._progress)
            self._ends = ends.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._ends.__exit__(*error)

    def run(self, study: Study, images: dict[str, ImageData], state: RunState, options: Mapping[str, Any]) -> Run:
        """The run, as far as its journal says.

        Args:
            study, images, state: see `Run`.
            options: what the command was given, for the record and for the advice on how to go on, see
                `aesweep.run.command_options`.
        """
        from aesweep.run.driver import Run

        settings = self._settings
        if settings.storage is not None:
            self._replica = replica_of(self._folder, settings.storage)
        self._options = options
        goes_on = resume_command(self._folder.root, options)
        self._interruption.last_words = f"interrupted; what is recorded is safe, and the run goes on with: {goes_on}"
        return Run(
            study,
            self._folder,
            images,
            state,
            RunSettings(
                num_workers=settings.workers or num_cores(),
                address=settings.address,
                num_gpus=settings.gpus,
                gpu_wait_s=settings.gpu_wait_s,
                state_interval_s=settings.save_every_s,
                options=dict(options),
            ),
            self._interruption,
            callbacks=[self._progress],
            say=self._progress.say,
            replica=self._replica,
        )

    def conclude(self, outcome: Outcome) -> None:
        """Writes the report, and says how the run ended."""
        self._progress.stop()
        self._outcome = outcome
        report = self._report()
        self._has_report = report is not None
        if self._replica is not None:
            self._replica.send_files()
        # A reader that has left changes nothing of how the run ended.
        with contextlib.suppress(BrokenPipeError):
            self._say(outcome, report)

    @property
    def exit_code(self) -> int:
        """What the command ends with, once its block has."""
        # A signal that came after the run's last event found the run ended.
        number = self._outcome.signal_number or self._interruption.signal_number
        if number is not None:
            return 128 + number
        is_good = self._outcome.status == RunStatus.COMPLETED and (
            self._settings.allow_failures or not self._outcome.failed_trials
        )
        return 0 if is_good and self._has_report else 1

    def _let_go(self) -> None:
        self._folder.holder.unlink(missing_ok=True)
        self._progress.abandon()

    def _report(self) -> Path | None:
        """The report's path; None where it cannot be written, which is told and takes nothing from the run."""
        try:
            return write_report(self._folder)
        except AesweepError as error:
            root = shlex.quote(str(self._folder.root))
            click.echo(
                f"{error}; all that was trained is recorded: when the cause is removed, `aesweep report {root}` "
                "writes it",
                err=True,
            )
            return None

    def _say(self, outcome: Outcome, report: Path | None) -> None:
        root, settings = self._folder.root, self._settings
        values = {"run": str(root), "report": report and str(report), "status": outcome.status}
        values |= {"missing": outcome.missing, "failed_trials": outcome.failed_trials}
        if settings.as_json or report:
            click.echo(json.dumps(values) if settings.as_json else str(report))
        for missing in outcome.missing:
            click.echo(f"no result: {missing}", err=True)
        for trial in outcome.failed_trials:
            click.echo(f"failed: {trial}" + ("" if settings.allow_failures else " (see --allow-failures)"), err=True)
        if outcome.status == RunStatus.INTERRUPTED:
            goes_on = resume_command(root, self._options)
            click.echo(f"interrupted; what is done is recorded, and the run goes on with: {goes_on}", err=True)
        elif self._interruption.requested():
            click.echo(
                "interrupted when the run had ended; its report is whole: "
                f"`aesweep report {shlex.quote(str(root))}` writes it again",
                err=True,
            )


class RecordedRun:
    """A run as its journal has it, for a command that goes on with it.

    Args:
        folder: the run, held against other writers.
        given: what the user gave of the command's options, as `options_to_record` has it.
        storage: URL of a folder of runs; None for none.

    Attributes:
        study, state: what was recorded.
        options: those given, and where the images lay for the command before.
        left_out: what to tell the user of a storage that is not given again; None for nothing.

    Raises:
        JournalError: nothing is recorded, or the journal is damaged.
        RunFolderError: nothing is recorded here, but in the storage.
        StudyError: images are given for a data set that is no folder of images.
    """

    def __init__(self, folder: RunFolder, given: Mapping[str, Any], storage: str | None):
        self.state = RunState(read_events(folder.journal))
        if self.state.start is None and storage is not None:
            replica_of(folder, storage)  # says how to bring the run from there, where it is there
        self.study = recorded_study(self.state, folder.journal)
        recorded = self.state.options
        self.options = with_remembered(given, recorded)
        self.left_out = left_out(given, recorded)
        hashes = {name: facts["sha256"] for name, facts in self.state.start.datasets.items()}
        self._places = ImagePlaces(self.study, hashes, self.state.places, folder.root, given, recorded)

    def load_images(self, download: bool) -> dict[str, ImageData]:
        """The data sets; raises DataError where there are none."""
        return self._places.load(download)


def check_storage(folder: RunFolder, storage: str | None) -> None:
    """Raises what would keep a new run out of its storage, before there is a run."""
    if storage is not None:
        from aesweep.storage.object_store import try_storage

        replica_of(folder, storage)
        try_storage(storage)


def replica_of(folder: RunFolder, storage: str) -> Replica:
    """A run's place in a storage of runs."""
    from aesweep.storage.object_store import Storage
    from aesweep.storage.replica import Replica

    return Replica(folder, Storage(f"{storage.rstrip('/')}/{folder.root.resolve().name}"))


def write_report(folder: RunFolder) -> Path:
    """The report's page, with its tables and figures.

    Raises:
        JournalError, RunFolderError: the run is not one, or damaged.
        ReportError: it cannot be drawn, or not be written.
    """
    try:
        from aesweep.report.page import write_report

        return write_report(folder)
    except AesweepError:
        raise
    # Whatever a library that draws may raise: the run is worth more than the report's traceback.
    except Exception as error:
        is_file = isinstance(error, OSError) and error.strerror
        reason = f"{error.filename or folder.root}: {error.strerror}" if is_file else f"{type(error).__name__}: {error}"
        raise ReportError(f"the report of {folder.root} cannot be written: {' '.join(reason.split())[:300]}") from error

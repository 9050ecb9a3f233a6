"""One command's work on a run: it locks the folder, handles signals, shows progress and ends with the report."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from aesweep.data.image_data import ImageData
from aesweep.process.errors import AesweepError, ReportError
from aesweep.process.progress_bar import Follow, unfollowed
from aesweep.process.signals import Interruption
from aesweep.run.callbacks.progress import Progress
from aesweep.run.command_options import left_out, resume_command, with_remembered
from aesweep.run.outcome import Outcome
from aesweep.run.preflight.environment import num_cores
from aesweep.run.settings import RunSettings, SessionSettings
from aesweep.search.replay import recorded_study
from aesweep.storage.event import RunStatus
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.image_places import ImagePlaces
from aesweep.study.schema import Study

if TYPE_CHECKING:
    from aesweep.report.check import Findings
    from aesweep.run.driver import Run
    from aesweep.storage.replica import Replica


class Session:
    """One command's work on a run: locks the run, handles signals, shows progress, and says how the run ended.

    It is used in a `with` block:

        with Session(folder, settings) as session:
            session.conclude(session.run(study, images, state, options).execute(command))
        sys.exit(session.exit_code)

    Args:
        folder: the run's folder.
        settings: the command's options.
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

    def run(
        self,
        study: Study,
        images: dict[str, ImageData],
        state: RunState,
        options: Mapping[str, Any],
        notes: Sequence[str] = (),
    ) -> Run:
        """Returns the driver of the run, which continues from what the journal holds.

        Args:
            study, images, state: see `Run`.
            options: the options that the command was given, which are recorded and used in the advice on how to resume,
                see `aesweep.run.command_options`.
            notes: lines that are shown when the run begins, but not where it is refused.
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
            announce=lambda: click.echo("".join(f"{note}\n" for note in notes), err=True, nl=False),
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
        # The exit code tells how the run ended, even if the reader of the output has closed it.
        with contextlib.suppress(BrokenPipeError):
            self._say(outcome, report)

    @property
    def exit_code(self) -> int:
        """The exit code of the command, known once the `with` block has ended."""
        # A signal that came after the run's last event is not in the outcome.
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
        """Writes the report and returns its path; None, with a message, if that fails; the run is not affected."""
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
    """A run as recorded in its journal, for a command that continues it.

    Args:
        folder: the run's folder, locked against other writers.
        given: those of the command's options that the user gave, as `options_to_record` returns them.
        storage: URL of a folder of runs; None for none.

    Attributes:
        study, state: the recorded study, and the state that the journal holds.
        options: the options given, with the places of images that the earlier command recorded.
        left_out: messages about a storage and a cluster that are not given again.

    Raises:
        JournalError: nothing is recorded, or the journal is damaged.
        RunFolderError: nothing is recorded in the folder, but the storage holds the run.
        StudyError: images are given for a data set to which the study gives no path.
    """

    def __init__(self, folder: RunFolder, given: Mapping[str, Any], storage: str | None):
        self.state = RunState.read(folder.journal)
        if self.state.start is None and storage is not None:
            replica_of(folder, storage)  # if the run is there, raises with advice on how to fetch it
        self.study = recorded_study(self.state, folder.journal)
        recorded = self.state.options
        self.options = with_remembered(given, recorded)
        self.left_out = left_out(given, recorded)
        hashes = {name: facts["sha256"] for name, facts in self.state.start.datasets.items()}
        self._places = ImagePlaces(self.study, hashes, self.state.places, folder.root, given, recorded)

    def load_images(self, download: bool) -> dict[str, ImageData]:
        """Returns the data sets by name; raises DataError if their images are not found."""
        return self._places.load(download)


def check_storage(folder: RunFolder, storage: str | None) -> None:
    """Checks that a new run can be kept in its storage, before the run is made; raises the error if it cannot."""
    if storage is not None:
        from aesweep.storage.object_store import try_storage

        replica_of(folder, storage)
        try_storage(storage)


def replica_of(folder: RunFolder, storage: str) -> Replica:
    """Returns the replica of a run in a storage of runs."""
    from aesweep.storage.object_store import Storage
    from aesweep.storage.replica import Replica

    return Replica(folder, Storage(f"{storage.rstrip('/')}/{folder.root.resolve().name}"))


def write_report(
    folder: RunFolder,
    formats: Sequence[str] | None = None,
    width: str | None = None,
    follow: Follow = unfollowed,
) -> Path:
    """Writes the report's page with its tables and figures, and returns the page's path.

    Args:
        folder, formats, width, follow: see `aesweep.report.page.write_report`.

    Raises:
        JournalError, RunFolderError: the folder holds no run, or a damaged one.
        ReportError: the report cannot be drawn or written.
    """
    with _reported(folder, "written"):
        from aesweep.report.page import write_report

        return write_report(folder, formats, width, follow)


def check_report(folder: RunFolder, follow: Follow = unfollowed) -> Findings:
    """Returns what a check of the report has found, see `aesweep.report.check`; raises as `write_report`."""
    with _reported(folder, "checked"):
        from aesweep.report.check import check_report

        return check_report(folder, follow)


@contextlib.contextmanager
def _reported(folder: RunFolder, done: str) -> Iterator[None]:
    """Makes every error of the block a ReportError, unless it is the user's already."""
    try:
        yield
    except AesweepError:
        raise
    # A drawing library may raise any exception, and none of them may end the command of a run that is recorded.
    except Exception as error:
        is_file = isinstance(error, OSError) and error.strerror
        reason = f"{error.filename or folder.root}: {error.strerror}" if is_file else f"{type(error).__name__}: {error}"
        raise ReportError(f"the report of {folder.root} cannot be {done}: {' '.join(reason.split())[:300]}") from error

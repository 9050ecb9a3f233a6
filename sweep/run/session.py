"""A run's execution as a command does it: alone in its folder, under progress and signals, with a report at its end."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from aesweep.data.datasets import ImageData
from aesweep.process.errors import AesweepError, ReportError
from aesweep.process.signals import Interruption
from aesweep.run.callbacks.progress import Progress
from aesweep.run.command_options import resume_command
from aesweep.run.outcome import Outcome
from aesweep.run.preflight.environment import num_cores
from aesweep.storage.run_folder import RunFolder
from aesweep.study.schema import Study

if TYPE_CHECKING:
    from aesweep.run.driver import Run
    from aesweep.storage.replica import Replica


class Execution:
    """One command's work on a run.

    Args:
        folder: the run.
        workers: trials at once on this machine; None for its cores.
        address: of a running Ray cluster, or None.
        gpus, gpu_wait_s: see `Run`, num_gpus.
        storage: URL of a folder of runs, where this one is kept as well; None for its folder alone.
        save_every_s: see `Run.state_interval_s`.
        as_json: say how it ended in JSON.
        quiet: no progress.
        allow_failures: a trial that failed is no reason to exit with 1 where its cell has a winner all the same.
        options: what the command was given, for the record and for the advice on how to go on, see
            `aesweep.run.command_options`; may be set later.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        workers: int | None,
        address: str | None,
        gpus: int | None,
        gpu_wait_s: float,
        storage: str | None,
        save_every_s: float,
        as_json: bool,
        quiet: bool,
        allow_failures: bool,
        options: Mapping[str, Any] | None = None,
    ):
        self._folder = folder
        self._settings = {
            "num_workers": workers or num_cores(),
            "address": address,
            "num_gpus": gpus,
            "gpu_wait_s": gpu_wait_s,
            "state_interval_s": save_every_s,
        }
        self._storage = storage
        self._replica: Replica | None = None
        self._as_json = as_json
        self._allow_failures = allow_failures
        self.options = dict(options or {})
        self._progress = Progress(Console(stderr=True, highlight=False), quiet)
        self._interruption = Interruption()

    def run(self, study: Study, images: dict[str, ImageData], events: list[dict[str, Any]]) -> Run:
        """The run, as far as its journal's events say."""
        from aesweep.run.driver import Run

        if self._storage is not None:
            self._replica = replica_of(self._folder, self._storage)
        goes_on = resume_command(self._folder.root, self.options)
        self._interruption.last_words = f"interrupted; what is recorded is safe, and the run goes on with: {goes_on}"
        followed = {"progress": self._progress, "interruption": self._interruption}
        return Run(
            study,
            self._folder,
            images,
            events,
            replica=self._replica,
            options=self.options,
            **followed,
            **self._settings,
        )

    def check_storage(self) -> None:
        """Raises what would keep a new run out of its storage, before there is a run."""
        if self._storage is not None:
            from aesweep.storage.object_store import try_storage

            replica_of(self._folder, self._storage)
            try_storage(self._storage)

    def follow(self, execute: Callable[[], Outcome]) -> None:
        """Executes, writes the report, says how it ended, and exits accordingly."""
        root = self._folder.root
        with contextlib.ExitStack() as ends:
            ends.enter_context(self._interruption)
            gone = ends.enter_context(self._folder.one_writer())
            with self._interruption.last_step(self._let_go):
                if gone:
                    click.echo(f"{gone} had locked {root} and does not run any more: its lock is taken over", err=True)
                with self._progress:
                    outcome = execute()
                report = self._report()
                if self._replica is not None:
                    self._replica.send_files()
            # A reader that has left changes nothing of how the run ended.
            with contextlib.suppress(BrokenPipeError):
                self._say(outcome, report)
        # A signal that came after the run's last event found the run ended.
        number = outcome.signal_number or self._interruption.signal_number
        if number is not None:
            sys.exit(128 + number)
        is_good = outcome.status == "completed" and (self._allow_failures or not outcome.failed_trials)
        sys.exit(0 if is_good and report else 1)

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
        root = self._folder.root
        values = {"run": str(root), "report": report and str(report), "status": outcome.status}
        values |= {"missing": outcome.missing, "failed_trials": outcome.failed_trials}
        if self._as_json or report:
            click.echo(json.dumps(values) if self._as_json else str(report))
        for missing in outcome.missing:
            click.echo(f"no result: {missing}", err=True)
        for trial in outcome.failed_trials:
            click.echo(f"failed: {trial}" + ("" if self._allow_failures else " (see --allow-failures)"), err=True)
        if outcome.status == "interrupted":
            goes_on = resume_command(root, self.options)
            click.echo(f"interrupted; what is done is recorded, and the run goes on with: {goes_on}", err=True)
        elif self._interruption.requested():
            click.echo(
                "interrupted when the run had ended; its report is whole: "
                f"`aesweep report {shlex.quote(str(root))}` writes it again",
                err=True,
            )


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

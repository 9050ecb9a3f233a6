"""`aesweep view`: shows a run in a browser on this machine, while it goes on too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import click

from aesweep.cli.options import LOCATION, PATH, run_argument
from aesweep.process.errors import RunFolderError
from aesweep.storage.run_folder import NAME, RunFolder


@click.command()
@run_argument
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1. [default: any that is free]")
@click.option(
    "--from",
    "source",
    metavar="URL",
    type=LOCATION,
    help="Storage of runs in which the run goes on; RUN is then its name there. [default: a folder here]",
)
@click.option("--runs", "runs_dir", type=PATH, default=Path("runs"), help="Folder to which that run is copied. [runs]")
def view(run_folder: Path, port: int, source: str | None, runs_dir: Path) -> None:
    """Show a run in a browser on this machine; rows appear as they are recorded, until Ctrl-C."""
    from aesweep.report.view.server import serve

    folder, bring = (
        (RunFolder.open(run_folder), None) if source is None else _brought(run_folder.name, source, runs_dir)
    )

    def announce(address: str) -> None:
        click.echo(address)
        click.echo("Whoever has this address can read the run. Ctrl-C ends it.", err=True)

    asyncio.run(serve(folder, port, announce, bring))


def _brought(name: str, source: str, runs_dir: Path) -> tuple[RunFolder, Callable[[], None]]:
    """Copies a run from its storage, and returns what copies what is added to it."""
    from aesweep.storage.object_store import Storage
    from aesweep.storage.replica import bring_journal, bring_run
    from aesweep.storage.run_state import RunState

    if not NAME.fullmatch(name):
        raise RunFolderError(f"{name!r} is no run's name: expected 1 to 64 of A-Z a-z 0-9 . _ -, no leading dot")
    storage = Storage(f"{source.rstrip('/')}/{name}")
    root = runs_dir / name
    bring_run(storage, root)
    folder = RunFolder.open(root)

    def bring() -> None:
        before = folder.journal.stat().st_size
        try:
            bring_journal(storage, folder)
            # Pictures and checkpoints follow the last event.
            if folder.journal.stat().st_size > before and RunState.read(folder.journal).is_over:
                bring_run(storage, root)
        except OSError as error:  # the next attempt may succeed
            click.echo(f"{storage.url}: {error.strerror or error}; trying again", err=True)

    return folder, bring

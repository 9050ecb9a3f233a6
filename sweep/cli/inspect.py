"""`aesweep report` and `status`: show what a run's folder holds, without running anything."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aesweep.cli.options import json_option, run_argument
from aesweep.run.command_options import resume_command
from aesweep.storage.run_folder import RunFolder


@click.command()
@run_argument
@json_option
def report(run_folder: Path, as_json: bool) -> None:
    """Write a run's report again, from its folder alone."""
    from aesweep.run.session import write_report

    path = write_report(RunFolder.open(run_folder))
    click.echo(json.dumps({"report": str(path)}) if as_json else str(path))


@click.command()
@run_argument
@click.option(
    "--address", help="Address of a cluster's dashboard; RUN is then the name of a run there. [default: a folder here]"
)
@json_option
def status(run_folder: Path, address: str | None, as_json: bool) -> None:
    """Show a run's trials by state, and its winners so far."""
    if address is not None:
        from aesweep.cluster.remote.submission import Jobs

        values = Jobs(address).status(str(run_folder))
        click.echo(json.dumps(values) if as_json else f"{values['run']}: {values['status']} (job {values['job']})")
        return
    from aesweep.report.status import run_status, status_text
    from aesweep.storage.run_state import RunState

    state = RunState.read(RunFolder.open(run_folder).journal)
    values = run_status(state)
    if values["status"] in ("interrupted", "unfinished", "open"):
        values["goes_on_with"] = resume_command(run_folder, state.options)
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    click.echo(status_text(values))
    if "goes_on_with" in values:
        condition = "" if values["status"] == "interrupted" else "where nobody is at work on it, "
        click.echo(f"\n{condition}it goes on with: {values['goes_on_with']}")

"""`aesweep report` and `status`: show what a run's folder holds, without running anything."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from aesweep.cli.options import json_option, run_argument
from aesweep.process.errors import EX_DATAERR
from aesweep.process.progress_bar import ProgressBar
from aesweep.run.command_options import resume_command
from aesweep.storage.run_folder import RunFolder
from aesweep.study.schema import REPORT_FORMATS, REPORT_WIDTHS


class FormatList(click.ParamType):
    """Names of formats of the report, with commas between them."""

    name = "format,..."

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
        for name in names:
            if name not in REPORT_FORMATS:
                self.fail(f"{name!r} is no format: known are {', '.join(REPORT_FORMATS)}", parameter, context)
        return names


@click.command()
@run_argument
@click.option(
    "--formats",
    type=FormatList(),
    help=f"Formats to write beside the page, of {', '.join(REPORT_FORMATS)}. [default: the study's report.formats]",
)
@click.option(
    "--width",
    type=click.Choice(REPORT_WIDTHS),
    help="Width of the figures for a paper. [default: the study's report.width, else page]",
)
@click.option(
    "--check", "checks", is_flag=True, help="Write nothing; say whether the report is what the folder gives today."
)
@json_option
def report(run_folder: Path, formats: list[str] | None, width: str | None, checks: bool, as_json: bool) -> None:
    """Write a run's report again, from its folder alone."""
    folder = RunFolder.open(run_folder)
    if checks:
        if formats or width:
            raise click.UsageError("--check takes the formats and the width in which the report was written")
        _check(folder, as_json)
        return
    from aesweep.run.session import write_report

    with ProgressBar("report") as bar:
        path = write_report(folder, formats, width, bar)
    click.echo(json.dumps({"report": str(path)}) if as_json else str(path))


def _check(folder: RunFolder, as_json: bool) -> None:
    """Says what differs, a line each; exits with 65 if anything does, with 1 if versions alone stand in the way."""
    from aesweep.run.session import check_report

    with ProgressBar("check") as bar:
        found = check_report(folder, bar)
    lines = [*found.differences, *found.unconfirmed]
    values = {"report": str(folder.report), "differences": found.differences, "unconfirmed": found.unconfirmed}
    if as_json:
        click.echo(json.dumps(values))
    else:
        click.echo("\n".join(lines) if lines else f"{folder.report}: still what the run's folder gives")
    if lines:
        sys.exit(EX_DATAERR if found.differences else 1)


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

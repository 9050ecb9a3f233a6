"""`aesweep export`: writes a run for another tool."""

from __future__ import annotations

import contextlib
import json
import shlex
from pathlib import Path

import click

from aesweep.cli.options import PATH, json_option, run_argument
from aesweep.export.registry import FORMATS, exporter_of
from aesweep.process.progress_bar import Follow
from aesweep.process.wording import plural
from aesweep.storage.run_folder import RunFolder


@click.command()
@run_argument
@click.option("--to", "name", required=True, type=click.Choice([*FORMATS]), help="Tool for which the run is written.")
@click.option(
    "--output", type=PATH, help="Folder for the export. [default: exports/TOOL in the run's folder]", metavar="DIR"
)
@click.option("--follow", "follows", is_flag=True, help="Go on while the run records more, until it ends or Ctrl-C.")
@json_option
@click.option("--quiet", is_flag=True, help="Show no progress on stderr.")
def export(run_folder: Path, name: str, output: Path | None, follows: bool, as_json: bool, quiet: bool) -> None:
    """Write a run for pandas, TensorBoard, MLflow or Optuna. Called again, it adds what is new."""
    from aesweep.export.follow import export as export_once
    from aesweep.export.follow import follow
    from aesweep.process.progress_bar import ProgressBar, unfollowed

    RunFolder.open(run_folder)
    folder = output or run_folder / "exports" / name
    exporter = exporter_of(name, folder)
    shown: ProgressBar | None = None if quiet else ProgressBar("export")
    with shown or contextlib.nullcontext():
        steps = ShownSteps(shown or unfollowed)
        if follows:
            num_rows = 0
            for _, exported in follow(run_folder, exporter, steps):
                if shown:
                    shown.say(f"{plural(exported.num_rows - num_rows, 'new epoch')}, {exported.num_rows:,} in all")
                num_rows = exported.num_rows
        else:
            _, exported = export_once(run_folder, exporter, steps)
    values = {"place": str(exported.place), "trials": exported.num_trials, "epochs": exported.num_rows}
    click.echo(json.dumps(values) if as_json else str(exported.place))
    if not quiet:
        quoted = {"place": shlex.quote(str(exported.place)), "folder": shlex.quote(str(folder))}
        quoted["rows"] = repr(str(exported.place / "rows.parquet"))
        held = f"{plural(exported.num_trials, 'trial')} and {plural(exported.num_rows, 'epoch')}"
        click.echo(f"{held}; {FORMATS[name].tool} opens it: {FORMATS[name].opened_with.format(**quoted)}", err=True)


class ShownSteps:
    """The steps of an export, see `aesweep.export.exporter.Steps`, as parts of the command's work.

    Args:
        follow: shows them.
    """

    def __init__(self, follow: Follow):
        self._follow = follow
        self._title, self._done, self._total = "", 0, 0

    def begin(self, title: str, total: int) -> None:
        self._title, self._done, self._total = title, 0, total
        self.advance(0)

    def advance(self, count: int = 1) -> None:
        self._done += count
        if self._done < self._total:
            self._follow(self._title, self._done, self._total)

"""`aesweep compare`: says what differs between runs, and which of their values do, from their folders alone."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aesweep.cli.options import PATH, json_option
from aesweep.storage.run_folder import RunFolder


@click.command()
@click.argument("run_folders", metavar="RUN RUN...", nargs=-1, required=True, type=PATH)
@click.option("--output", type=PATH, help="Folder for comparison.md, .html and .json. [default: print the page]")
@json_option
def compare(run_folders: tuple[Path, ...], output: Path | None, as_json: bool) -> None:
    """Show where runs differ from the first one, cell by cell, with intervals over seeds.

    A run that is under way is compared as far as it came.
    """
    resolved = [path.resolve() for path in run_folders]
    if len(resolved) < 2:
        raise click.UsageError("expected two runs or more, got one: aesweep compare RUN RUN...")
    if len(set(resolved)) < len(resolved):
        raise click.UsageError("a run is named twice: expected two runs or more that differ")
    from aesweep.process.progress_bar import ProgressBar
    from aesweep.report.comparison.blocks import markdown
    from aesweep.report.comparison.comparison import as_values, compare_all
    from aesweep.report.comparison.html import comparison_html
    from aesweep.report.comparison.page import comparison_page
    from aesweep.storage.atomic_file import write_whole

    with ProgressBar("compare") as bar:
        comparisons = compare_all([RunFolder.open(path) for path in run_folders], bar)
    blocks = comparison_page(comparisons)
    page = markdown(blocks)
    values = json.dumps({"comparisons": [as_values(found) for found in comparisons]}, indent=2, allow_nan=False)
    if output is None:
        click.echo(values if as_json else page, nl=as_json)
        return
    write_whole(output / "comparison.json", values + "\n")
    write_whole(output / "comparison.html", comparison_html(blocks))
    write_whole(output / "comparison.md", page)
    click.echo(json.dumps({"page": str(output / "comparison.md")}) if as_json else str(output / "comparison.md"))

"""The commands: they parse, call, and say. Data goes to stdout, messages to stderr.

Exit codes: 0 done; 1 done, with something left without a result; 2 usage; 65 data or record; 73 run folder; 78 study;
130 and 143 ended by SIGINT and SIGTERM.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from data.image_data import DataError
from sweep.errors import EX_CANTCREAT, EX_DATAERR, AesweepError
from sweep.run_folder import NAME, RunFolder
from sweep.study import Study
from sweep.study_file import check_study, load_study


class Commands(click.Group):
    """The group of commands; the user's mistakes become one line and an exit code instead of a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except AesweepError as error:
            for line in str(error).splitlines():
                click.echo(f"error: {line}", err=True)
            context.exit(error.exit_code)
        except DataError as error:
            click.echo(f"error: {error}", err=True)
            context.exit(EX_DATAERR)
        except KeyboardInterrupt as error:
            context.exit(error.args[0] if error.args else 130)
        except BrokenPipeError:
            # The reader of stdout has left, as `head` does; nothing is wrong.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            context.exit(0)
        except OSError as error:
            click.echo(f"error: {error.filename or 'a file'}: {error.strerror or error}", err=True)
            context.exit(EX_CANTCREAT)


def main() -> None:
    commands(prog_name="aesweep")


study_argument = click.argument("study_file", metavar="STUDY", type=click.Path(path_type=Path))
run_argument = click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
set_option = click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a dotted key.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print plain values for a script.")
data_options = [
    click.option("--data-dir", type=click.Path(), help="Where MNIST and Fashion-MNIST lie. [env: AESWEEP_DATA_DIR]"),
    click.option("--download", is_flag=True, help="Fetch MNIST or Fashion-MNIST where they are missing."),
]
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), help="Trials at once on this machine. [default: its cores]"
)
worker_options = [
    workers_option,
    click.option("--address", help="Of a running Ray cluster. [default: this machine alone]"),
]
execution_options = [
    *worker_options,
    click.option(
        "--save-every",
        "save_every_s",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        default=30.0,
        help="How much of a trial's training a kill may cost, about. [30]",
    ),
    json_option,
    click.option("--quiet", is_flag=True, help="No progress on stderr."),
]


def _all(options: list[Any]) -> Any:
    def apply(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


@click.group(cls=Commands)
@click.version_option(package_name="aesweep")
def commands() -> None:
    """One autoencoder study file in, a finished report out."""


@commands.command()
@study_argument
@set_option
@_all(data_options)
@workers_option
@json_option
def plan(
    study_file: Path,
    overrides: tuple[str, ...],
    data_dir: str | None,
    download: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """Show what a study would run, and about how long it would take on this machine."""
    _plan(load_study(study_file, overrides), data_dir, download, workers, as_json)


def _plan(study: Study, data_dir: str | None, download: bool, workers: int | None, as_json: bool) -> None:
    import dataclasses

    from sweep.execution import num_cores
    from sweep.inputs import load_images
    from sweep.planning import duration, plan_study, plan_table

    images = load_images(study, data_dir, download)
    sizes = {name: (len(found.training), int(found.training[0].size)) for name, found in images.items()}
    num_workers = workers or num_cores()
    stages, retraining = plan_study(study, sizes, num_workers)
    total = sum(stage.seconds for stage in stages) + retraining["seconds"]
    if as_json:
        values = {
            "study": study.name,
            "stages": [dataclasses.asdict(stage) for stage in stages],
            "retraining": retraining,
            "num_workers": num_workers,
            "seconds": round(total, 1),
        }
        click.echo(json.dumps(values, indent=2))
        return
    click.echo(plan_table(stages, retraining))
    click.echo(f"\nabout {duration(total)} with {num_workers} workers, from steps timed on this machine")


@commands.command()
@study_argument
@set_option
@click.option("--name", help="The run's name. [default: the study's]")
@click.option(
    "--runs", "runs_dir", type=click.Path(path_type=Path), default=Path("runs"), help="Where runs lie. [runs]"
)
@_all(data_options)
@click.option("--dry-run", is_flag=True, help="Only show what would run, as `plan` does.")
@_all(execution_options)
def run(
    study_file: Path,
    overrides: tuple[str, ...],
    name: str | None,
    runs_dir: Path,
    data_dir: str | None,
    download: bool,
    dry_run: bool,
    **settings: Any,
) -> None:
    """Run a study from its search to its report."""
    study = load_study(study_file, overrides)
    if dry_run:
        _plan(study, data_dir, download, settings["workers"], settings["as_json"])
        return
    name = name or study.name
    if NAME.fullmatch(name) and (runs_dir / name).exists():
        RunFolder.create(runs_dir, name)  # refuses before the images are read
    from sweep.execution import Execution
    from sweep.inputs import load_images, read_reference

    if study.report.reference:
        read_reference(study.report.reference)
    images = load_images(study, data_dir, download)
    folder = RunFolder.create(runs_dir, name)
    execution = Execution(folder, **settings)
    execution.follow(lambda: execution.run(study, images).execute(["aesweep", *sys.argv[1:]]))


@commands.command()
@run_argument
@_all(data_options)
@_all(execution_options)
def resume(
    run_folder: Path,
    data_dir: str | None,
    download: bool,
    **settings: Any,
) -> None:
    """Go on with a run that was interrupted or killed, to the result that it would have had."""
    from sweep.execution import Execution
    from sweep.inputs import load_images
    from sweep.journal import read_journal
    from sweep.outcome import Outcome
    from sweep.resume import recorded_study

    folder = RunFolder.open(run_folder)
    execution = Execution(folder, **settings)

    def execute() -> Outcome:
        study = recorded_study(read_journal(folder.journal), folder.journal)
        return execution.run(study, load_images(study, data_dir, download)).resume(["aesweep", *sys.argv[1:]])

    execution.follow(execute)


@commands.command()
@run_argument
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the study's.")
@click.option("--seeds", type=click.IntRange(min=1), help="Instead of the study's.")
@_all(data_options)
@_all(execution_options)
def retrain(
    run_folder: Path,
    epochs: int | None,
    seeds: int | None,
    data_dir: str | None,
    download: bool,
    **settings: Any,
) -> None:
    """Train a finished search's winners that are not trained yet, or with other epochs and seeds, and report again."""
    from sweep.execution import Execution
    from sweep.inputs import load_images
    from sweep.journal import read_journal

    folder = RunFolder.open(run_folder)
    events = read_journal(folder.journal)
    values = next((event["study"] for event in events if event["kind"] == "run_started"), {})
    for stage in values.get("stages", {}).values():
        for key, value in (("epochs", epochs), ("seeds", seeds)):
            if value is not None:
                stage.setdefault("retraining", {})[key] = value
    study = check_study(values, str(folder.journal))
    images = load_images(study, data_dir, download)
    execution = Execution(folder, **settings)
    execution.follow(lambda: execution.run(study, images).execute_retraining())


@commands.command()
@run_argument
@json_option
def report(run_folder: Path, as_json: bool) -> None:
    """Write a run's report again, from its folder alone."""
    from sweep.execution import write_report

    path = write_report(RunFolder.open(run_folder))
    click.echo(json.dumps({"report": str(path)}) if as_json else str(path))


@commands.command()
@run_argument
@json_option
def status(run_folder: Path, as_json: bool) -> None:
    """Show how a run stands."""
    from sweep.journal import read_journal
    from sweep.status import run_status, status_text

    values = run_status(read_journal(RunFolder.open(run_folder).journal))
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    click.echo(status_text(values))


@commands.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder for the resulting PNG files.")
@click.option("--add-noise", type=click.FloatRange(min=0), default=0.0, help="Variance of noise to add first. [0]")
@click.option("--seed", type=int, default=1, help="Of that noise. [1]")
@json_option
def reconstruct(
    checkpoint: Path, images: tuple[Path, ...], output: Path, add_noise: float, seed: int, as_json: bool
) -> None:
    """Reconstruct or denoise image files with a winner's checkpoint."""
    from tabulate import tabulate

    from sweep.reconstruction import reconstruct_files

    rows = reconstruct_files(checkpoint, list(images), output, add_noise, seed)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        click.echo(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".6f"))


if __name__ == "__main__":
    main()

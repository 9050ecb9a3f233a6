"""`aesweep run`, `resume`, `retrain` and `extend`: the commands that train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sweep.commands.options import data_options, execution_options, options, run_argument, set_option, study_argument
from sweep.commands.plan import show_plan
from sweep.run_folder import NAME, RunFolder
from sweep.study_file import load_study


@click.command()
@study_argument
@set_option
@click.option("--name", help="The run's name. [default: the study's]")
@click.option(
    "--runs", "runs_dir", type=click.Path(path_type=Path), default=Path("runs"), help="Where runs lie. [runs]"
)
@options(data_options)
@click.option("--dry-run", is_flag=True, help="Only show what would run, as `plan` does.")
@options(execution_options)
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
        show_plan(study, data_dir, download, settings["workers"], settings["as_json"])
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


@click.command()
@run_argument
@options(data_options)
@options(execution_options)
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


@click.command()
@run_argument
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the study's.")
@click.option("--seeds", type=click.IntRange(min=1), help="Instead of the study's.")
@options(data_options)
@options(execution_options)
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
    from sweep.outcome import Outcome
    from sweep.resume import recorded_study

    folder = RunFolder.open(run_folder)
    execution = Execution(folder, **settings)

    def execute() -> Outcome:
        study = recorded_study(read_journal(folder.journal), folder.journal)
        run = execution.run(study, load_images(study, data_dir, download))
        return run.execute_retraining(["aesweep", *sys.argv[1:]], epochs, seeds)

    execution.follow(execute)


@click.command()
@run_argument
@click.option("--samples", type=click.IntRange(min=1), help="So many more draws in each cell.")
@click.option("--epochs", type=click.IntRange(min=1), help="Train what was trained to its end anew, for so long.")
@click.option("--stage", "stages", multiple=True, metavar="NAME", help="Extend this stage. [default: all]")
@options(data_options)
@options(execution_options)
def extend(
    run_folder: Path,
    samples: int | None,
    epochs: int | None,
    stages: tuple[str, ...],
    data_dir: str | None,
    download: bool,
    **settings: Any,
) -> None:
    """Add samples, or a longer budget, to a finished run; new winners are retrained, and the report follows."""
    if (samples is None) == (epochs is None):
        raise click.UsageError("give either --samples or --epochs")
    from sweep.execution import Execution
    from sweep.extension import asked_for
    from sweep.inputs import load_images
    from sweep.journal import read_journal
    from sweep.outcome import Outcome
    from sweep.resume import recorded_study

    folder = RunFolder.open(run_folder)
    execution = Execution(folder, **settings)

    def execute() -> Outcome:
        events = read_journal(folder.journal)
        study = recorded_study(events, folder.journal)
        asked = asked_for(study, events, stages, samples=samples, epochs=epochs, source=str(folder.root))
        run = execution.run(study, load_images(study, data_dir, download))
        return run.extend(["aesweep", *sys.argv[1:]], asked)

    execution.follow(execute)

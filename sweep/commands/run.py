"""`aesweep run`, `resume` and `retrain`: the commands that train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sweep.commands.options import data_options, execution_options, options, run_argument, set_option, study_argument
from sweep.commands.plan import show_plan
from sweep.run_folder import NAME, RunFolder
from sweep.study_file import check_study, load_study


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

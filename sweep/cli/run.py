"""`aesweep run`, `resume`, `retrain` and `extend`: the commands that train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aesweep.cli.options import (
    PATH,
    data_options,
    execution_options,
    options,
    run_argument,
    set_option,
    study_argument,
)
from aesweep.cli.plan import show_plan
from aesweep.run.command_options import options_to_record
from aesweep.run.settings import SessionSettings
from aesweep.storage.run_folder import RunFolder
from aesweep.study.image_places import place_images
from aesweep.study.study_file import load_study

if TYPE_CHECKING:
    from aesweep.run.driver import Run
    from aesweep.run.session import RecordedRun, Session


@click.command()
@study_argument
@set_option
@click.option("--name", help="The run's name. [default: the study's]")
@click.option("--runs", "runs_dir", type=PATH, default=Path("runs"), help="Folder in which runs are kept. [runs]")
@options(data_options)
@click.option("--dry-run", is_flag=True, help="Only show what would run, as `plan` does.")
@options(execution_options)
def run(
    study_file: Path,
    overrides: tuple[str, ...],
    name: str | None,
    runs_dir: Path,
    data_dir: Path | None,
    download: bool,
    images: tuple[tuple[str, Path], ...],
    dry_run: bool,
    **settings: Any,
) -> None:
    """Run a study from its search to its report."""
    study = load_study(study_file, overrides)
    place_images(study, dict(images))
    if dry_run:
        show_plan(study, data_dir, download, settings["workers"], settings["as_json"])
        return
    folder = RunFolder.new(runs_dir, name or study.name)  # raises before the images are read
    from aesweep.run.preflight.model_check import check_models
    from aesweep.run.session import Session, check_storage
    from aesweep.storage.run_state import RunState
    from aesweep.study.inputs import load_images, read_reference

    if study.report.reference:
        read_reference(study.report.reference)
    loaded = load_images(study, data_dir, download)
    check_models(study, {name: found.training.shape[1:] for name, found in loaded.items()})
    # `place_images` has written the places of images into the study.
    given = options_to_record({**_given(), "images": None})
    check_storage(folder, settings["storage"])
    folder.make()
    with Session(folder, SessionSettings(**settings)) as session:
        folder.check_free()  # again, under the lock: another run may have been made and ended
        with folder.discarded_if_blank():
            outcome = session.run(study, loaded, RunState(), given).execute(_command())
            if folder.is_blank():
                click.echo("interrupted before anything was recorded; nothing is left of this run", err=True)
                raise KeyboardInterrupt(128 + outcome.signal_number)
        session.conclude(outcome)
    sys.exit(session.exit_code)


@click.command()
@run_argument
@options(data_options)
@options(execution_options)
def resume(
    run_folder: Path,
    data_dir: Path | None,
    download: bool,
    images: tuple[tuple[str, Path], ...],
    **settings: Any,
) -> None:
    """Resume a run that was interrupted or killed."""
    from aesweep.run.session import RecordedRun, Session

    folder = RunFolder.open(run_folder)
    with Session(folder, SessionSettings(**settings)) as session:
        recorded = RecordedRun(folder, options_to_record(_given()), settings["storage"])
        session.conclude(_loaded(session, recorded, download).resume(_command()))
    sys.exit(session.exit_code)


@click.command()
@run_argument
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of each retraining. [default: the study's]")
@click.option("--seeds", type=click.IntRange(min=1), help="Number of seeds. [default: the study's]")
@options(data_options)
@options(execution_options)
def retrain(
    run_folder: Path,
    epochs: int | None,
    seeds: int | None,
    data_dir: Path | None,
    download: bool,
    images: tuple[tuple[str, Path], ...],
    **settings: Any,
) -> None:
    """Retrain the winners of a finished search: those that are not retrained yet, or all with other settings."""
    from aesweep.run.session import RecordedRun, Session

    folder = RunFolder.open(run_folder)
    with Session(folder, SessionSettings(**settings)) as session:
        recorded = RecordedRun(folder, options_to_record(_given()), settings["storage"])
        session.conclude(_loaded(session, recorded, download).execute_retraining(_command(), epochs, seeds))
    sys.exit(session.exit_code)


@click.command()
@run_argument
@click.option("--samples", type=click.IntRange(min=1), help="Number of draws to add to each cell.")
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help="New budget: configurations that were trained to their end are trained anew for so many epochs.",
)
@click.option(
    "--stage", "stages", multiple=True, metavar="NAME", help="Extend this stage; can be repeated. [default: all stages]"
)
@options(data_options)
@options(execution_options)
def extend(
    run_folder: Path,
    samples: int | None,
    epochs: int | None,
    stages: tuple[str, ...],
    data_dir: Path | None,
    download: bool,
    images: tuple[tuple[str, Path], ...],
    **settings: Any,
) -> None:
    """Add samples or a longer budget to a finished run, retrain new winners, and write the report again."""
    if (samples is None) == (epochs is None):
        raise click.UsageError("give either --samples or --epochs")
    from aesweep.run.session import RecordedRun, Session
    from aesweep.search.extension import asked_for

    folder = RunFolder.open(run_folder)
    with Session(folder, SessionSettings(**settings)) as session:
        recorded = RecordedRun(folder, options_to_record(_given()), settings["storage"])
        # What can be refused without images is refused before they are read.
        asked = asked_for(
            recorded.study, recorded.state, stages, samples=samples, epochs=epochs, source=str(run_folder)
        )
        session.conclude(_loaded(session, recorded, download).extend(_command(), asked))
    sys.exit(session.exit_code)


def _loaded(session: Session, recorded: RecordedRun, download: bool) -> Run:
    """Loads the images of a recorded run and returns its driver."""
    images = recorded.load_images(download)
    return session.run(recorded.study, images, recorded.state, recorded.options, recorded.left_out)


def _given() -> dict[str, Any]:
    """Returns those of the command's options that the user gave, on the command line or in the environment."""
    context = click.get_current_context()
    sources = click.core.ParameterSource
    return {
        name: value
        for name, value in context.params.items()
        if context.get_parameter_source(name) in (sources.COMMANDLINE, sources.ENVIRONMENT)
    }


def _command() -> list[str]:
    """Returns the command line, which is recorded."""
    return ["aesweep", *sys.argv[1:]]

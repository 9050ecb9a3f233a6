"""`aesweep plan`: shows what a study would run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aesweep.cli.options import data_options, json_option, options, set_option, study_argument, workers_option
from aesweep.process.wording import plural
from aesweep.study.image_places import place_images
from aesweep.study.schema import Study
from aesweep.study.study_file import load_study


@click.command()
@study_argument
@set_option
@options(data_options)
@workers_option
@json_option
def plan(
    study_file: Path,
    overrides: tuple[str, ...],
    data_dir: Path | None,
    download: bool,
    images: tuple[tuple[str, Path], ...],
    workers: int | None,
    as_json: bool,
) -> None:
    """Show what a study would run, and about how long it would take on this machine."""
    study = load_study(study_file, overrides)
    place_images(study, dict(images))
    show_plan(study, data_dir, download, workers, as_json)


def show_plan(study: Study, data_dir: Path | None, download: bool, workers: int | None, as_json: bool) -> None:
    """Prints what the study would run."""
    import dataclasses

    from aesweep.run.preflight.device_choice import devices_here
    from aesweep.run.preflight.environment import num_cores
    from aesweep.run.preflight.model_check import check_models
    from aesweep.run.preflight.plan import LEFT_OUT, assumptions, duration, packs_table, plan_study, plan_table, size
    from aesweep.run.preflight.step_timer import StepTimer
    from aesweep.study.inputs import load_images, read_reference

    if study.report.reference:
        read_reference(study.report.reference)

    images = load_images(study, data_dir, download)
    check_models(study, {name: found.training.shape[1:] for name, found in images.items()})
    sizes = {name: (len(found.training), found.training.shape[1:]) for name, found in images.items()}
    num_workers = workers or num_cores()
    choice, num_gpus = devices_here(study, sizes, num_workers, workers)
    timer = StepTimer(study.precision, "cuda" if num_gpus else "cpu")
    stages, retraining = plan_study(study, sizes, num_gpus or num_workers, choice.resources, timer)
    total = sum(stage.seconds for stage in stages) + retraining["seconds"]
    if as_json:
        values = {
            "study": study.name,
            "stages": [dataclasses.asdict(stage) for stage in stages],
            "retraining": retraining,
            "num_workers": num_workers,
            "resources": choice.resources.model_dump(mode="json"),
            "trained_on": choice.reason,
            "seconds": round(total, 1),
            "left_out": LEFT_OUT,
        }
        click.echo(json.dumps(values, indent=2))
        return
    click.echo(plan_table(stages, retraining))
    click.echo(f"\n{packs_table(stages)}")
    for line in assumptions(stages):
        click.echo(f"\n{line}")
    if study.resources.is_auto:
        click.echo(f"\ntraining on {choice.reason}")
    workers = plural(num_gpus, "GPU") if num_gpus else plural(num_workers, "worker")
    click.echo(f"\nabout {duration(total)} of training with {workers}, from steps timed on this machine")
    click.echo(f"not counted, for a small study most of its time: {LEFT_OUT}")
    states = max(stage.state_bytes for stage in stages)
    models = sum(stage.checkpoint_bytes for stage in stages) + retraining["checkpoint_bytes"]
    click.echo(f"on the disk at most {size(states)} of states while it trains, and {size(models)} of models that stay")

"""`aesweep submit`, `logs`, `stop` and `fetch`, for a study on a cluster, and the command that its spot nodes run."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from pathlib import Path

import click

from aesweep.cli.options import LOCATION, PATH, address_option, json_option, set_option, study_argument
from aesweep.process.errors import RunFolderError
from aesweep.process.progress_bar import ProgressBar
from aesweep.process.wording import agree, plural
from aesweep.storage.run_folder import NAME
from aesweep.study.study_file import load_study

RUNS = "$HOME/aesweep-runs"  # expanded by the head's shell


@click.command()
@study_argument
@set_option
@address_option
@click.option("--name", help="The run's name. [default: the study's]")
@click.option("--resume", "resumes", is_flag=True, help="Resume the run of that name, which is on the cluster.")
@click.option("--data-dir", help="Folder with MNIST and other known data sets on the head.")  # the head expands a `~`
@click.option(
    "--images",
    multiple=True,
    metavar="NAME=PATH",
    help="Take the images of the study's data set NAME from this folder or .npz file of the head.",
)
@click.option("--download", is_flag=True, help="Download known data sets that the head lacks, except CIFAR-10.")
@click.option(
    "--gpus",
    type=click.IntRange(min=0),
    help="Number of GPUs to wait for. [default: those of one trial, or of all trainers]",
)
@click.option("--wait", is_flag=True, help="Show the run's output, and exit with its exit code.")
@json_option
def submit(
    study_file: Path,
    overrides: tuple[str, ...],
    address: str,
    name: str | None,
    resumes: bool,
    data_dir: str | None,
    images: tuple[str, ...],
    download: bool,
    gpus: int | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Run a study on a cluster."""
    if resumes and overrides:
        raise click.UsageError(
            "--set cannot change a run that was begun before: leave out --set, or leave out --resume and give another "
            "--name"
        )
    from aesweep.cluster.remote.code_package import STUDY, fill_parcel
    from aesweep.cluster.remote.submission import Jobs

    study = load_study(study_file, overrides, keeps_home=True)
    name = name or study.name
    if not NAME.fullmatch(name):
        raise RunFolderError(f"{name!r} cannot name a run: expected 1 to 64 of A-Z a-z 0-9 . _ -, no leading dot")
    settings = ["--address", "auto"]
    settings += ["--data-dir", data_dir] if data_dir else []
    settings += [word for pair in images for word in ("--images", pair)]
    settings += ["--download"] if download else []
    settings += ["--gpus", str(gpus)] if gpus is not None else []
    target = f"resume {RUNS}/{name}" if resumes else f"run {STUDY} --runs {RUNS} --name {name}"
    command = f"exec python -m aesweep.cli {target} {shlex.join(settings)}"
    with tempfile.TemporaryDirectory(prefix="aesweep-") as folder:
        num_bytes = fill_parcel(Path(folder), None if resumes else study)  # a run's journal holds its study
        jobs = Jobs(address)
        job = jobs.submit(name, command, Path(folder))
    click.echo(f"{name} runs as job {job}; sent {num_bytes:,} bytes", err=True)
    if not wait:
        click.echo(json.dumps({"run": name, "job": job}) if as_json else job)
        return
    for text in jobs.follow(name, job=job):
        click.echo(text, err=True, nl=False)
    values = jobs.status(name, job)
    click.echo(json.dumps(values) if as_json else f"{name}: {values['status']}")
    sys.exit(0 if values["status"] == "succeeded" else values["exit_code"] or 1)


@click.command()
@click.argument("name", metavar="RUN")
@address_option
@click.option("--follow", is_flag=True, help="Go on showing output until the job ends.")
def logs(name: str, address: str, follow: bool) -> None:
    """Show the output of a run on a cluster."""
    from aesweep.cluster.remote.submission import Jobs

    jobs = Jobs(address)
    for text in jobs.follow(name) if follow else [jobs.log(name)]:
        click.echo(text, nl=False)


@click.command()
@click.argument("name", metavar="RUN")
@address_option
def stop(name: str, address: str) -> None:
    """Stop a run on a cluster. Everything done so far is recorded, and `submit --resume` continues the run."""
    from aesweep.cluster.remote.submission import Jobs

    was_at_work = Jobs(address).stop(name)
    click.echo(f"{name} is asked to end" if was_at_work else f"{name} had ended already", err=True)


@click.command()
@click.argument("name", metavar="RUN")
@click.option(
    "--from",
    "source",
    required=True,
    metavar="CLUSTER|URL",
    type=LOCATION,
    help="Cluster file, or URL of a storage of runs.",
)
@click.option("--runs", "runs_dir", type=PATH, default=Path("runs"), help="Folder to which the run is copied. [runs]")
@json_option
def fetch(name: str, source: str, runs_dir: Path, as_json: bool) -> None:
    """Copy a run to this machine: journal, winners and report. Called again, it copies what is new."""
    from aesweep.storage.verification import check_run

    if not NAME.fullmatch(name):
        raise RunFolderError(f"{name!r} is no run's name: expected 1 to 64 of A-Z a-z 0-9 . _ -, no leading dot")
    root = runs_dir / name
    with ProgressBar("fetch") as bar:
        if Path(source).is_file():
            from aesweep.cluster.remote.launcher import bring_folder

            bar(f"copying from the head of {source}", 0, None)
            bring_folder(Path(source), f"~/aesweep-runs/{name}/", root)
        else:
            from aesweep.storage.object_store import Storage
            from aesweep.storage.replica import bring_run

            bring_run(Storage(f"{source.rstrip('/')}/{name}"), root, bar)
        num_files = check_run(root, bar)
    click.echo(json.dumps({"run": str(root), "files": num_files}) if as_json else str(root))
    click.echo(f"{plural(num_files, 'file')} {agree(num_files, 'is', 'are')} what the journal says", err=True)


@click.command()
def leave_on_notice() -> None:
    """On a spot instance, wait for the termination notice; from then on trials save every epoch."""
    from aesweep.cluster.remote.spot import leave_on_notice as wait

    wait()

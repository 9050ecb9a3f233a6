"""`aesweep doctor`: finds what would stop a run, before it starts."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aesweep.cli.options import LOCATION, PATH, data_options, json_option, options
from aesweep.process.errors import AesweepError
from aesweep.process.wording import plural
from aesweep.study.image_places import place_images
from aesweep.study.study_file import load_study


@click.command()
@click.argument("cluster_file", metavar="[CLUSTER]", required=False, type=PATH)
@click.option(
    "--storage",
    metavar="URL",
    type=LOCATION,
    envvar="AESWEEP_STORAGE",
    help="Check that this storage of runs can be reached and written. [default: that of CLUSTER; env: AESWEEP_STORAGE]",
)
@click.option(
    "--study",
    "study_file",
    metavar="STUDY",
    type=PATH,
    help="Check that this study's GPUs, images and reference are there.",
)
@click.option(
    "--runs", "runs_dir", type=PATH, default=Path("runs"), help="Check that this folder for runs can be written. [runs]"
)
@options(data_options)
@click.option("--address", help="Address of a running cluster's dashboard, whose GPUs are counted.")
@click.option(
    "--data",
    "data_url",
    metavar="URL",
    type=LOCATION,
    help="Check that STUDY's data sets are there, as `data push` copies them.",
)
@json_option
def doctor(
    cluster_file: Path | None,
    storage: str | None,
    study_file: Path | None,
    runs_dir: Path,
    data_dir: Path | None,
    download: bool,
    images: tuple[tuple[str, Path], ...],
    address: str | None,
    data_url: str | None,
    as_json: bool,
) -> None:
    """Find what would stop a run before it starts: on this machine, in a cluster file, and in a storage."""
    if not study_file and (data_url or data_dir or download or images):
        raise click.UsageError("--data, --data-dir, --download and --images are about a study: give --study as well")
    from aesweep.cluster.remote.cluster_file import most_gpus, named_storage, read_cluster_file
    from aesweep.cluster.remote.gpus import count_gpus
    from aesweep.data.catalogue import IDX_DATASETS
    from aesweep.run.preflight import doctor as examination
    from aesweep.run.preflight import rehearsal
    from aesweep.run.preflight.environment import usable_gpus

    findings = list(examination.examine_machine())
    for rehearse in (rehearsal.try_worker, rehearsal.try_scratch_folder, rehearsal.try_figure):
        findings += rehearse()
    findings += rehearsal.try_folder("runs", runs_dir, "give another --runs")
    counts = {f"up at {address}": lambda: count_gpus(address)} if address else {}
    if address or cluster_file is not None:
        findings += examination.examine_token()
    if cluster_file is not None:
        from aesweep.cluster.remote.launcher import validate_cluster

        values = read_cluster_file(cluster_file)
        about_file = list(examination.examine_cluster_file(cluster_file, values, validate_cluster))
        findings += about_file
        storage = storage or named_storage(values)
        if not any(finding.is_fault for finding in about_file) and most_gpus(values):
            counts[f"in {cluster_file} at most"] = lambda: most_gpus(values)
    if storage:
        findings += examination.examine_storage(storage)
    if study_file is not None:
        study = load_study(study_file)
        place_images(study, dict(images))
        is_sent = bool(address or cluster_file)
        counts = counts or {"on this machine": usable_gpus}
        findings += examination.examine_gpus(study.resources.least_gpus, counts)
        findings += rehearsal.try_reference(study)
        if data_url:
            names = [one.name for one in study.datasets if one.path is None and one.name in IDX_DATASETS]
            findings += examination.examine_data(names, data_url)
        elif not is_sent:  # a cluster reads its own images
            findings += rehearsal.try_images(study, data_dir, download)
    faults = [finding for finding in findings if finding.is_fault]
    if as_json:
        rows = [{"subject": f.subject, "text": f.text, "fault": f.is_fault} for f in findings]
        click.echo(json.dumps(rows, indent=2))
    else:
        for finding in findings:
            click.echo(f"{'fault' if finding.is_fault else 'ok   '} {finding.subject}: {finding.text}")
    if faults:
        raise AesweepError(f"{plural(len(faults), 'fault')}; nothing was started")

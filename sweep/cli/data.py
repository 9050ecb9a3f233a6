"""`aesweep data push` and `pull`: copy data sets to a storage, and from there to a node."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aesweep.cli.options import LOCATION, data_options, json_option
from aesweep.data.catalogue import IDX_DATASETS
from aesweep.data.datasets import data_folder
from aesweep.process.progress_bar import ProgressBar
from aesweep.process.wording import plural

names_argument = click.argument("names", metavar="NAME...", nargs=-1, required=True, type=click.Choice([*IDX_DATASETS]))
data_dir_option, download_option, _ = data_options


@click.group()
def data() -> None:
    """Copy data sets of MNIST's file format to a storage, and from there to other machines."""


@data.command()
@names_argument
@click.option(
    "--to",
    "url",
    required=True,
    metavar="URL",
    type=LOCATION,
    help="Folder, or URL of a storage such as s3://bucket/datasets.",
)
@data_dir_option
@download_option
@json_option
def push(names: tuple[str, ...], url: str, data_dir: Path | None, download: bool, as_json: bool) -> None:
    """Copy data sets (mnist, fashion_mnist, ...) to a storage, with their hashes."""
    from aesweep.storage.dataset_mirror import push_dataset
    from aesweep.storage.object_store import Storage

    storage = Storage(url.rstrip("/"))
    with ProgressBar("data push") as bar:
        written = {name: push_dataset(name, storage, data_dir, download, bar) for name in names}
    click.echo(
        json.dumps(written) if as_json else "\n".join(f"{storage.url}/{files[-1]}" for files in written.values())
    )


@data.command()
@names_argument
@click.option(
    "--from", "url", required=True, metavar="URL", type=LOCATION, help="Folder or URL to which `push` copied them."
)
@data_dir_option
@json_option
def pull(names: tuple[str, ...], url: str, data_dir: Path | None, as_json: bool) -> None:
    """Copy data sets into the data folder and verify every file. Called again, it copies what is missing or damaged."""
    from aesweep.storage.dataset_mirror import pull_dataset
    from aesweep.storage.object_store import Storage

    storage = Storage(url.rstrip("/"))
    with ProgressBar("data pull") as bar:
        brought = {name: [str(path) for path in pull_dataset(name, storage, data_dir, bar)] for name in names}
    click.echo(json.dumps(brought) if as_json else str(data_folder(data_dir)))
    for name, paths in brought.items():
        click.echo(
            f"{name}: {plural(len(paths), 'file')} brought, the others were there" if paths else f"{name}: all there",
            err=True,
        )

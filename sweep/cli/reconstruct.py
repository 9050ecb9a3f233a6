"""`aesweep reconstruct`: applies a winner's model to image files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aesweep.cli.options import PATH, json_option


@click.command()
@click.argument("checkpoint", type=PATH)
@click.argument("images", nargs=-1, required=True, type=PATH)
@click.option("--output", type=PATH, required=True, help="Folder for the resulting PNG files.")
@click.option(
    "--add-noise", type=click.FloatRange(min=0), default=0.0, help="Variance of the Gaussian noise that is added. [0]"
)
@click.option("--seed", type=int, default=1, help="Seed of the noise that is added. [1]")
@json_option
def reconstruct(
    checkpoint: Path, images: tuple[Path, ...], output: Path, add_noise: float, seed: int, as_json: bool
) -> None:
    """Reconstruct or denoise image files with a winner's checkpoint."""
    from tabulate import tabulate

    from aesweep.training.checkpoints.reconstruction import reconstruct_files

    rows = reconstruct_files(checkpoint, list(images), output, add_noise, seed)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        click.echo(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".6f"))

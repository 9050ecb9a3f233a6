"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Any

import click

from aesweep.process.user_path import user_location, user_path


class UserPath(click.ParamType):
    """A path as a user writes it, see `aesweep.process.user_path`; with `or_url`, also the URL of a storage.

    Every option and argument that takes a path is of this type; a test checks all commands for that.
    """

    name = "path"

    def __init__(self, or_url: bool = False):
        self._or_url = or_url

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        try:
            return user_location(str(value)) if self._or_url else user_path(value)
        except ValueError as error:
            self.fail(str(error), parameter, context)


class NamedPath(click.ParamType):
    """A value NAME=PATH, which is converted to a pair of the name and the path."""

    name = "name=path"
    takes_paths = True

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        name, separator, path = str(value).partition("=")
        if not separator or not name:
            self.fail(f"expected NAME=PATH, got {value!r}", parameter, context)
        return name, PATH.convert(path, parameter, context)


PATH, LOCATION = UserPath(), UserPath(or_url=True)

study_argument = click.argument("study_file", metavar="STUDY", type=PATH)
run_argument = click.argument("run_folder", metavar="RUN", type=PATH)
set_option = click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Override a key of the study, such as stages.architecture.epochs=12; can be repeated.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print plain values for a script.")
data_options = [
    click.option(
        "--data-dir",
        type=PATH,
        help="Folder with MNIST and other known data sets. [env: AESWEEP_DATA_DIR; default: ~/.cache/aesweep/data]",
    ),
    click.option("--download", is_flag=True, help="Download known data sets that are missing there, except CIFAR-10."),
    click.option(
        "--images",
        multiple=True,
        metavar="NAME=PATH",
        type=NamedPath(),
        help="Take the images of the study's data set NAME from this folder or .npz file.",
    ),
]
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Number of trials that train at once. [default: this machine's cores; on a cluster, all that have room]",
)
address_option = click.option(
    "--address",
    default="http://127.0.0.1:8265",
    help="Address of the cluster's dashboard, as `ray dashboard` gives it. [http://127.0.0.1:8265]",
)
execution_options = [
    workers_option,
    click.option("--address", help="Address of a running Ray cluster. [default: this machine alone]"),
    click.option(
        "--save-every",
        "save_every_s",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        default=30.0,
        help="Time between two saved states of a trial, which is about what a kill may cost it. [30]",
    ),
    click.option(
        "--gpus",
        type=click.IntRange(min=0),
        help="Number of GPUs to wait for, with --address. [default: those of one trial, or of all trainers]",
    ),
    click.option(
        "--gpu-wait",
        "gpu_wait_s",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        default=900.0,
        help="Time to wait for GPUs before training on those that are up. [900]",
    ),
    click.option(
        "--storage",
        metavar="URL",
        type=LOCATION,
        envvar="AESWEEP_STORAGE",
        help="Keep a copy of the run in this storage, such as s3://bucket/runs. [env: AESWEEP_STORAGE]",
    ),
    click.option(
        "--allow-failures",
        is_flag=True,
        help="Exit with 0 though trials failed, as long as every cell has a winner and every winner is retrained.",
    ),
    json_option,
    click.option("--quiet", is_flag=True, help="Show no progress on stderr."),
]


def options(several: list[Any]) -> Any:
    """Returns a decorator that adds a list of options to a command."""

    def apply(command: Any) -> Any:
        for option in reversed(several):
            command = option(command)
        return command

    return apply

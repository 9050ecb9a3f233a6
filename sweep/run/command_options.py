"""What a command that worked on a run was given, as the next one needs to know it.

The journal holds it beside the command line, which says neither where relative paths began nor what came from the
environment. Where images lie is taken from there again, since their hashes tell whether they are the run's. An address
and a storage are not: whoever made the journal would say where this machine connects, and what is written there. They
are told, so that the user gives them again or leaves them out knowingly.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Option of `aesweep resume` by the name under which it is recorded; without a value where it is a flag.
_OPTIONS = {
    "data_dir": "--data-dir",
    "images": "--images",
    "storage": "--storage",
    "workers": "--workers",
    "address": "--address",
    "gpus": "--gpus",
    "gpu_wait_s": "--gpu-wait",
    "save_every_s": "--save-every",
    "allow_failures": "--allow-failures",
}
_REMEMBERED = ("data_dir", "images")
_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")


def options_to_record(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of a command's options, by parameter, those that the next command needs: paths absolute, without passwords.

    Args:
        given: those that the user gave, on the command line or in the environment.
    """
    found = {name: given[name] for name in _OPTIONS if given.get(name)}
    if "data_dir" in found:
        found["data_dir"] = os.path.abspath(found["data_dir"])
    if "images" in found:
        found["images"] = {name: os.path.abspath(path) for name, path in dict(found["images"]).items()}
    if "storage" in found:
        found["storage"] = _PASSWORD.sub(r"\1@", found["storage"])
        if "://" not in found["storage"]:
            found["storage"] = os.path.abspath(found["storage"])
    return found


def with_remembered(options: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """A command's options, and where the images lay for the command before it as far as it says nothing of that.

    Args:
        options: as `options_to_record` has it.
        recorded: the same of the earlier command.
    """
    remembered = {name: recorded[name] for name in _REMEMBERED if name in recorded}
    if "images" in remembered:
        remembered["images"] = {**remembered["images"], **options.get("images", {})}
        options = {name: value for name, value in options.items() if name != "images"}
    return {**remembered, **options}


def resume_command(run: Path, options: Mapping[str, Any]) -> str:
    """The command that goes on with a run as it was begun, for a shell.

    Args:
        run: its folder, as the user calls it.
        options: as `options_to_record` has it.
    """
    words = ["aesweep", "resume", str(run)]
    for name, option in _OPTIONS.items():
        value = options.get(name)
        if name == "images":
            words += [word for key, path in (value or {}).items() for word in (option, f"{key}={path}")]
        elif value is True:
            words.append(option)
        elif value is not None:
            words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def left_out(options: Mapping[str, Any], recorded: Mapping[str, Any]) -> str | None:
    """What to tell the user of a storage that the earlier command kept the run in, and this one does not."""
    storage = recorded.get("storage")
    if storage is None or "storage" in options:
        return None
    return (
        f"the run was also kept in {storage}: give --storage {shlex.quote(storage)} again, or nothing that is recorded "
        "from now on is copied there"
    )

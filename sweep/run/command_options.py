"""The options that a command on a run was given, recorded in the form in which the next command needs them.

The journal holds them beside the command line, which tells neither what relative paths were relative to nor what came
from the environment. The next command takes the places of images from the journal, since their hashes tell whether they
are the run's. It does not take an address or a storage from there: the author of a journal could otherwise decide where
this machine connects to, and what is written there. These are shown to the user, who gives them again or leaves them
out knowingly.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The option of `aesweep resume` for each recorded name. A flag has no value.
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
    """Returns those of a command's options that the next command needs, with absolute paths and without passwords.

    Args:
        given: the options that the user gave on the command line or in the environment, by parameter name.
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
    """Returns a command's options, with the recorded places of those images for which it gives no place itself.

    Args:
        options: the command's options, as `options_to_record` returns them.
        recorded: the options of the earlier command, in the same form.
    """
    remembered = {name: recorded[name] for name in _REMEMBERED if name in recorded}
    if "images" in remembered:
        remembered["images"] = {**remembered["images"], **options.get("images", {})}
        options = {name: value for name, value in options.items() if name != "images"}
    return {**remembered, **options}


def resume_command(run: Path, options: Mapping[str, Any]) -> str:
    """Returns the shell command that resumes a run with the options it was begun with.

    Args:
        run: the run's folder, as the user writes it.
        options: the options, as `options_to_record` returns them.
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


def left_out(options: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """Returns a message for each place that the earlier command used and this one does not: a storage, a cluster."""
    messages = []
    if "storage" in recorded and "storage" not in options:
        storage = recorded["storage"]
        messages.append(
            f"the run was also kept in {storage}: give --storage {shlex.quote(storage)} again, or nothing that is "
            "recorded from now on is copied there"
        )
    if "address" in recorded and "address" not in options:
        address = recorded["address"]
        messages.append(
            f"the run trained on the cluster at {address}: give --address {shlex.quote(address)} again, or it trains "
            "on this machine from now on"
        )
    return messages

"""Checks for what would stop a run, before it starts: on this machine, and where the run would be sent to."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from aesweep.cluster.remote.cluster_file import cluster_faults
from aesweep.cluster.remote.token import token_fault, token_place
from aesweep.data.image_data import DataError
from aesweep.process.checkout import PACKAGE
from aesweep.process.errors import AesweepError
from aesweep.process.wording import plural
from aesweep.run.preflight.environment import describe_gpus, usable_gpus
from aesweep.storage.dataset_mirror import check_pushed
from aesweep.storage.object_store import Storage, try_storage

PARTS = {"aesweep": "sweep", "aesweep.models": "models", "aesweep.data": "data"}


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of one check: its subject, what was found, and whether that would stop a run."""

    subject: str
    text: str
    is_fault: bool = False


def examine_machine() -> Iterator[Finding]:
    """Checks versions against the project's pins, the project's own packages, and the GPUs of this machine."""
    yield from _versions(importlib.metadata.requires("aesweep") or [], importlib.metadata.version)
    yield from _packages(PACKAGE)
    yield from _gpus()


def examine_token(path: Path | None = None) -> Iterator[Finding]:
    """Checks the token by which a cluster authenticates its users.

    Ray writes it with the permissions that the shell's umask leaves.
    """
    fault, place = token_fault(path), token_place(path)
    if place is None:
        yield Finding(
            "token", fault or "from RAY_AUTH_TOKEN; other processes of this user can read it there", bool(fault)
        )
    else:
        yield Finding("token", fault or f"{place} is there, and only its owner can read it", bool(fault))


def examine_cluster_file(
    path: Path, values: dict[str, Any], validate: Callable[[dict[str, Any]], None]
) -> Iterator[Finding]:
    """Checks a cluster file, first by this project's rules, then by Ray's.

    Args:
        path: the file; `ray up` is expected to be called from this process's folder.
        values: the contents of the file, as `read_cluster_file` returns them.
        validate: raises AesweepError if Ray would refuse the values.
    """
    faults = cluster_faults(values, Path.cwd())
    yield from (Finding(str(path), fault, is_fault=True) for fault in faults)
    try:
        validate(values)
    except AesweepError as error:
        yield Finding(str(path), str(error), is_fault=True)
        return
    if not faults:
        yield Finding(str(path), "filled in, closed, and accepted by Ray")


def examine_storage(url: str) -> Iterator[Finding]:
    """Checks a storage of runs from this machine, with this user's credentials."""
    try:
        try_storage(url)
    except (AesweepError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        yield Finding("storage", f"{url}: expected one that is reached and can be written: {reason}", is_fault=True)
        return
    yield Finding("storage", f"{url} keeps what is written, and keeps two writers apart")


def examine_data(names: Iterable[str], url: str) -> Iterator[Finding]:
    """Checks that data sets (MNIST, Fashion-MNIST) are in the storage from which nodes are to copy them."""
    for name in names:
        try:
            check_pushed(name, Storage(url.rstrip("/")))
        except (AesweepError, DataError, OSError) as error:
            yield Finding(name, str(getattr(error, "strerror", None) or error), is_fault=True)
        else:
            yield Finding(name, f"is in {url} as it was pushed")


def examine_gpus(least: float, counts: dict[str, Callable[[], float]]) -> Iterator[Finding]:
    """Compares the number of GPUs that a study needs with the numbers that are available.

    Args:
        least: number of GPUs without which nothing can be trained.
        counts: for each place, a function that counts its GPUs; it raises AesweepError if the place does not answer.
    """
    try:
        seen = {place: count() for place, count in counts.items()}
    except AesweepError as error:
        yield Finding("study", str(error), is_fault=True)
        return
    text = "".join(f", {number:g} {place}" for place, number in seen.items())
    yield Finding("study", f"{plural(least, 'GPU')} needed{text}", is_fault=max(seen.values()) < least)


def _versions(requirements: Iterable[str], installed: Callable[[str], str]) -> Iterator[Finding]:
    wrong = 0
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = installed(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            version = "none"
        if version == "none" or not requirement.specifier.contains(version, prereleases=True):
            wrong += 1
            remedy = f"expected {requirement.specifier}, found {version}: `make install` puts it right"
            yield Finding(requirement.name, remedy, is_fault=True)
    if not wrong:
        yield Finding("packages", "are those that the project is pinned to")


def _packages(own: Path) -> Iterator[Finding]:
    """Checks where the package's folders are found.

    They lie side by side in a checkout, and inside each other if the package is installed without one.
    """
    for name, folder in PARTS.items():
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve().parent if spec and spec.origin else None
        expected = own if name == "aesweep" else own / folder
        if found not in (expected, own.parent / folder):
            remedy = f"expected {expected}, found {found}: another package of that name is installed; remove it"
            yield Finding(name, remedy, is_fault=True)


def _gpus() -> Iterator[Finding]:
    import torch

    names = describe_gpus()
    usable = usable_gpus()
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and usable < len(names):
        yield Finding("GPUs", f"{usable} of {len(names)} are used, as CUDA_VISIBLE_DEVICES={hidden} asks for")
    elif len(names) != usable:
        text = (
            f"the driver shows {len(names)}, PyTorch can use {usable}: driver and PyTorch {torch.__version__} disagree"
        )
        yield Finding("GPUs", text, is_fault=True)
    else:
        yield Finding("GPUs", ", ".join(names) if names else "none on this machine; trials train on its CPUs")

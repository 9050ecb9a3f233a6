"""Tries each step of a run on this machine in the way the run itself takes it, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from aesweep.cluster.tune.scratch_folder import LONGEST_SOCKET, new_folder
from aesweep.data.catalogue import IDX_DATASETS
from aesweep.data.datasets import data_folder, is_there
from aesweep.data.image_data import DataError
from aesweep.process.errors import AesweepError
from aesweep.process.search_path import hidden_from_workers
from aesweep.run.preflight.doctor import Finding
from aesweep.storage.atomic_file import write_whole
from aesweep.storage.run_folder import RunFolder
from aesweep.study.inputs import load_images, read_reference
from aesweep.study.schema import Study

WORKERS_IMPORTS = "import aesweep.cluster.tune.trial, aesweep.training.single_trial, torch, numpy"
IMPORT_LIMIT_S = 300  # from a cold, remote disk
PROBE = b"\0" * 1_000_000  # about what the first trials of a small run write
WHAT_FAILS = (AesweepError, DataError, OSError, NotImplementedError)  # the last if a file system has no locks


def try_worker() -> Iterator[Finding]:
    """Tries to import what a worker of Ray imports first, in a process that is started as workers are."""
    expected = f"{sys.executable} to import the project and PyTorch"
    with _scratch_folder() as folder, hidden_from_workers(str(folder)):
        try:
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-c", WORKERS_IMPORTS],
                **{"capture_output": True, "text": True, "errors": "replace", "timeout": IMPORT_LIMIT_S},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            yield _fault("workers", expected, error, "`make install` puts it right")
            return
    if done.returncode:
        last = [line.strip() for line in done.stderr.splitlines() if line.strip()] or [f"exit {done.returncode}"]
        yield _fault("workers", expected, last[-1], "`make install` puts it right")
    else:
        yield Finding("workers", "import the project and PyTorch")


def try_scratch_folder() -> Iterator[Finding]:
    """Tries the folder of Ray's sockets and logs, with a socket of the longest name that Ray gives."""
    expected, remedy = "a folder for Ray that holds files and sockets", "name one in TMPDIR"
    try:
        with _scratch_folder() as folder:
            path = folder / LONGEST_SOCKET
            path.parent.mkdir(parents=True)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
                listener.listen(1)
            (folder / "probe").write_bytes(PROBE)
            parent = folder.parent
    except WHAT_FAILS as error:
        yield _fault("temporary files", expected, error, remedy)
    else:
        yield Finding("temporary files", f"{parent} holds Ray's files and sockets")


def try_figure() -> Iterator[Finding]:
    """Tries to draw a small figure in the report's style and to encode it in the report's formats."""
    try:
        from aesweep.report.figures.style import METADATA, encoded, log_errors, new_figure, styled

        with styled():
            figure, (axes,) = new_figure(1.0)
            axes.plot([1, 2], [0.01, 0.1], label="a")
            axes.legend()
            log_errors(axes)
            num_bytes = sum(len(encoded(figure, suffix)) for suffix in METADATA)
    # A drawing library may raise any exception.
    except Exception as error:
        yield _fault(
            "figures", "matplotlib to draw", f"{type(error).__name__}: {error}", "`make install` puts it right"
        )
    else:
        yield Finding(
            "figures", f"are drawn, as {' and '.join(suffix.upper() for suffix in METADATA)} ({num_bytes:,} bytes)"
        )


def try_folder(subject: str, wanted: Path, remedy: str) -> Iterator[Finding]:
    """Tries to make, lock and write a run's folder in a folder, or in the nearest folder above it that exists.

    Args:
        subject: subject of the finding.
        wanted: the folder; it is not made.
        remedy: advice to the user.
    """
    place = next(path for path in (wanted.absolute(), *wanted.absolute().parents) if os.path.lexists(path))
    expected = (
        f"{wanted} to be a folder that can be written"
        if place == wanted.absolute()
        else f"{place} to be a folder where {wanted} can be made"
    )
    if not place.is_dir():
        yield _fault(subject, expected, "no folder", remedy)
        return
    try:
        root = Path(tempfile.mkdtemp(prefix=".aesweep-", dir=place))
        try:
            folder = RunFolder(root / "run")
            folder.make()
            with folder.one_writer():
                write_whole(folder.checkpoints / "probe", PROBE)
        finally:
            shutil.rmtree(root, ignore_errors=True)
    except WHAT_FAILS as error:
        yield _fault(subject, expected, error, remedy)
    else:
        is_there_now = place == wanted.absolute()
        yield Finding(subject, f"{place} can be written" if is_there_now else f"{wanted} can be made in {place}")


def try_reference(study: Study) -> Iterator[Finding]:
    """Tries to read the published numbers that a study names, if it names any."""
    if study.report.reference:
        yield from _read(
            "reference", lambda: read_reference(study.report.reference), f"{study.report.reference} is read"
        )


def try_images(study: Study, data_dir: Path | None, download: bool) -> Iterator[Finding]:
    """Reads and checks all of a study's images, and checks whether its stages ask for more than there are.

    Args:
        study: the study, with the places of its images.
        data_dir: see `aesweep.data.datasets.load_dataset`.
        download: whether a run would fetch missing images. They are then no fault if they can be stored; nothing is
            fetched here.
    """
    known = [dataset.name for dataset in study.datasets if dataset.path is None and dataset.name in IDX_DATASETS]
    fetched = [name for name in known if download and not is_there(name, data_dir)]
    if fetched:
        yield from try_folder("downloads", data_folder(data_dir), "give another --data-dir")
        yield Finding("images", f"{' and '.join(fetched)} will be fetched when a run starts")
    here = study.model_copy(update={"datasets": [d for d in study.datasets if d.name not in fetched]})
    names = ", ".join(dataset.name for dataset in here.datasets)
    if here.datasets:
        yield from _read(
            "images", lambda: load_images(here, data_dir, False), f"{names}: read, and enough for {study.name}"
        )


def _read(subject: str, read: Callable[[], object], good: str) -> Iterator[Finding]:
    try:
        read()
    except WHAT_FAILS as error:
        yield from (Finding(subject, line, is_fault=True) for line in str(error).splitlines())
    else:
        yield Finding(subject, good)


@contextlib.contextmanager
def _scratch_folder() -> Iterator[Path]:
    folder = new_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fault(subject: str, expected: str, error: object, remedy: str) -> Finding:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Finding(subject, f"expected {expected}, found: {' '.join(said.split())[:300]}: {remedy}", is_fault=True)

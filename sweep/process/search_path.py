"""What this process and Ray's workers import: the modules of our own environment, before any of the user's files.

A user's folder may hold a models.py, a statistics.py or a torch/ of its own, and be on Python's search path: as the
working folder, or by PYTHONPATH. Such folders are searched last, so that what lies in them alone is still found.
Imports nothing that could be replaced itself.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

VARIABLE = "PYTHONPATH"


def own_modules_first() -> None:
    """Puts the folders of PYTHONPATH, and the working folder, at the end of this process's search path.

    The folder that this package was imported from stays where it is: a cluster's job is told of its code in this way.
    """
    try:
        os.getcwd()
    except OSError:
        os.chdir("/")  # what has no working folder any more has nothing in it either
    own = os.path.dirname(_package_folder())
    users = [entry for entry in sys.path if _is_users(entry) and os.path.abspath(entry or ".") != own]
    sys.path[:] = [entry for entry in sys.path if entry not in users] + users


@contextlib.contextmanager
def hidden_from_workers(folder: str) -> Iterator[None]:
    """While Ray starts: a working folder without modules, and no PYTHONPATH, unless the workers need it.

    Ray puts the driver's working folder first on its workers' search path, and hands its environment on to them.

    Args:
        folder: of ours; the working folder inside the block.
    """
    before, given = os.getcwd(), os.environ.get(VARIABLE)
    os.chdir(folder)
    if given is not None and not _needed_by_workers():
        del os.environ[VARIABLE]
    try:
        yield
    finally:
        os.chdir(before)
        if given is not None:
            os.environ[VARIABLE] = given


def _needed_by_workers() -> bool:
    """Whether what a worker imports is found on PYTHONPATH alone, as on clusters that provide torch in this way."""
    from importlib.util import find_spec

    users = {os.path.abspath(entry or ".") for entry in _users_entries()}
    for name in ("aesweep", "ray", "torch", "numpy"):
        spec = find_spec(name)
        origin = os.path.abspath(spec.origin) if spec and spec.origin else ""
        if any(origin.startswith(os.path.join(folder, "")) for folder in users):
            return True
    return False


def _is_users(entry: str) -> bool:
    """Whether an entry of the search path is the working folder, or was put there by PYTHONPATH."""
    folder = os.path.abspath(entry or ".")
    return folder == os.getcwd() or folder in {os.path.abspath(given or ".") for given in _users_entries()}


def _users_entries() -> list[str]:
    given = os.environ.get(VARIABLE)
    return given.split(os.pathsep) if given else []


def _package_folder() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

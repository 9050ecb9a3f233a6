"""Orders the search path so that this process and Ray's workers import installed modules before the user's files.

A user's folder may hold its own models.py, statistics.py or torch/, and may be on Python's search path as the working
folder or by PYTHONPATH. Such folders are searched last, so that modules that lie only there are still found. This
module imports nothing that such a file could replace.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

VARIABLE = "PYTHONPATH"


def own_modules_first() -> None:
    """Moves the folders of PYTHONPATH, and the working folder, to the end of this process's search path.

    The folder from which this package was imported keeps its place, since a cluster's job gets its code in this way.
    """
    try:
        os.getcwd()
    except OSError:
        os.chdir("/")  # the working folder was removed, so that nothing can be imported from it
    own = os.path.dirname(_package_folder())
    users = [entry for entry in sys.path if _is_users(entry) and os.path.abspath(entry or ".") != own]
    sys.path[:] = [entry for entry in sys.path if entry not in users] + users


@contextlib.contextmanager
def hidden_from_workers(folder: str) -> Iterator[None]:
    """Changes to a working folder without modules while Ray starts, and hides PYTHONPATH unless the workers need it.

    Ray puts the driver's working folder first on its workers' search path, and passes its environment on to them.

    Args:
        folder: a folder without the user's modules; the working folder inside the block.
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
    """Returns whether workers import a package from PYTHONPATH, by which some clusters provide torch."""
    from importlib.util import find_spec

    users = {os.path.abspath(entry or ".") for entry in _users_entries()}
    for name in ("aesweep", "ray", "torch", "numpy"):
        spec = find_spec(name)
        origin = os.path.abspath(spec.origin) if spec and spec.origin else ""
        if any(origin.startswith(os.path.join(folder, "")) for folder in users):
            return True
    return False


def _is_users(entry: str) -> bool:
    """Returns whether an entry of the search path is the working folder, or comes from PYTHONPATH."""
    folder = os.path.abspath(entry or ".")
    return folder == os.getcwd() or folder in {os.path.abspath(given or ".") for given in _users_entries()}


def _users_entries() -> list[str]:
    given = os.environ.get(VARIABLE)
    return given.split(os.pathsep) if given else []


def _package_folder() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

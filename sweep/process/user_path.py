"""Converts a path that the user wrote in a file, an option or an environment variable to one of the file system.

A leading `~` or `~name` is the home folder of this user or of the named one. A shell expands it only in some places:
not in `--data-dir=~/datasets`, and not in a file. Nothing else is replaced: a `$` is part of the name, so that a study
that another person wrote reads nothing from the environment. A folder that is called `~` is `./~`.
"""

from __future__ import annotations

import os
from pathlib import Path


def user_path(text: str | os.PathLike[str]) -> Path:
    """Returns the path that a text stands for.

    Raises:
        ValueError: the text is not a path, or begins with the home folder of an unknown user.
    """
    written = os.fspath(text)
    if not written or "\0" in written:
        raise ValueError(f"expected a path, got {written!r}")
    expanded = os.path.expanduser(written)
    if expanded.startswith("~"):
        name = expanded.partition("/")[0]
        raise ValueError(
            f"{written}: {name} would be the home folder of a user of this machine, and there is none of that name; "
            f"for a folder that is called {name}, write ./{name}"
        )
    return Path(expanded)


def user_location(text: str) -> str:
    """Returns the path that a text stands for; a URL, such as s3://bucket/runs, is returned unchanged."""
    return text if "://" in text else str(user_path(text))

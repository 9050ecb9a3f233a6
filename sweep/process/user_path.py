"""A path as the user wrote it, in a file, an option or an environment variable, as the file system wants it.

A leading `~` or `~name` is the home folder of this user or of that one, as in a shell, which does the same only where
it sees the `~`: not in `--data-dir=~/datasets`, and not in a file. Nothing else is replaced: a `$` is part of the name,
so that a study that somebody else wrote reads nothing from the environment. A folder that is called `~` is `./~`.
"""

from __future__ import annotations

import os
from pathlib import Path


def user_path(text: str | os.PathLike[str]) -> Path:
    """The path that a text stands for.

    Raises:
        ValueError: the text is no path, or begins with the home folder of a user who is not known.
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
    """The same for what may be a URL as well, such as s3://bucket/runs: that is taken as it stands."""
    return text if "://" in text else str(user_path(text))

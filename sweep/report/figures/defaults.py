"""matplotlib as it comes: figures are the same whatever a user's matplotlibrc, styles, backend and locale say.

matplotlib reads the first matplotlibrc that it finds while it is imported, in the working folder before all others, and
dies of one that it cannot decode and of an MPLBACKEND that it does not know. So it is imported where it finds none but
its own; and what somebody imported before us is put back to its defaults around everything that draws.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Settings of windows, of which we open none. To ask for the first would choose a backend, and import what it needs.
_OF_WINDOWS = {"backend", "backend_fallback", "interactive", "toolbar"}
_ENVIRONMENT = ("MATPLOTLIBRC", "MPLBACKEND", "FREETYPE_PROPERTIES")


def import_matplotlib() -> None:
    """Imports matplotlib, with what draws and saves, from its own settings alone."""
    with _unconfigured():
        import matplotlib.backends.backend_agg
        import matplotlib.backends.backend_svg
        import matplotlib.figure  # noqa: F401


def default_settings() -> dict[str, Any]:
    """matplotlib's settings as they are without any matplotlibrc, for `matplotlib.rc_context`."""
    import matplotlib

    return {name: value for name, value in matplotlib.rcParamsDefault.items() if name not in _OF_WINDOWS}


@contextlib.contextmanager
def _unconfigured() -> Iterator[None]:
    """An environment, and where need be a working folder, in which matplotlib finds no settings but its own."""
    spec = importlib.util.find_spec("matplotlib")
    own = Path(spec.origin or "").parent / "mpl-data" if spec else Path()
    earlier = {name: os.environ.pop(name, None) for name in _ENVIRONMENT}
    os.environ["MATPLOTLIBRC"] = str(own / "matplotlibrc")
    # It warns of a cache that it cannot write, and of fonts; the reader of a report can do nothing about either.
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with _away_from("matplotlibrc", own):
            yield
    finally:
        log.setLevel(level)
        os.environ.pop("MATPLOTLIBRC", None)
        os.environ.update({name: value for name, value in earlier.items() if value is not None})


@contextlib.contextmanager
def _away_from(name: str, folder: Path) -> Iterator[None]:
    """The working folder is another one if a file of that name lies in it: for as short as can be."""
    if not os.path.lexists(name):
        yield
        return
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(here)
        os.close(here)

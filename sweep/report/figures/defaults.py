"""matplotlib with its default settings: figures do not depend on a user's matplotlibrc, styles, backend and locale.

While it is imported, matplotlib reads the first matplotlibrc that it finds, beginning with the working folder. The
import fails if it cannot decode that file, or does not know the backend in MPLBACKEND. It is therefore imported where
it finds only its own file; if other code imported it before, its defaults are restored around everything that draws.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Settings of windows, of which none is opened. Reading the first would choose a backend and import what it needs.
_OF_WINDOWS = {"backend", "backend_fallback", "interactive", "toolbar"}
_ENVIRONMENT = ("MATPLOTLIBRC", "MPLBACKEND", "FREETYPE_PROPERTIES")


def import_matplotlib() -> None:
    """Imports matplotlib and the modules that draw and save, with its own settings alone."""
    with _unconfigured():
        import matplotlib.backends.backend_agg
        import matplotlib.backends.backend_pdf
        import matplotlib.backends.backend_svg
        import matplotlib.figure  # noqa: F401


def default_settings() -> dict[str, Any]:
    """Returns matplotlib's settings as they are without any matplotlibrc, for `matplotlib.rc_context`."""
    import matplotlib

    return {name: value for name, value in matplotlib.rcParamsDefault.items() if name not in _OF_WINDOWS}


@contextlib.contextmanager
def _unconfigured() -> Iterator[None]:
    """Sets an environment and, if needed, a working folder in which matplotlib finds only its own settings."""
    spec = importlib.util.find_spec("matplotlib")
    own = Path(spec.origin or "").parent / "mpl-data" if spec else Path()
    earlier = {name: os.environ.pop(name, None) for name in _ENVIRONMENT}
    os.environ["MATPLOTLIBRC"] = str(own / "matplotlibrc")
    # matplotlib warns of a cache that it cannot write, and of fonts; a report's reader can do nothing about either.
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
    """Changes the working folder if a file of that name lies in it; the block is to be as short as possible."""
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

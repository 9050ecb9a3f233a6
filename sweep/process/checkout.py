"""Where the project's own files lie."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]  # the folder sweep/, also where what is installed are links to it
CHECKOUT = PACKAGE.parent  # only a checkout has more in it than the package

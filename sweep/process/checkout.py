"""The folders of the project's own files."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]  # the folder sweep/, also where the installed package is a link to it
CHECKOUT = PACKAGE.parent  # holds more than the package only in a checkout

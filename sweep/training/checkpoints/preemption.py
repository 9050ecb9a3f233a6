"""A note on a machine that it is about to be taken away: its trials then keep a state after every epoch."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def leaving_note() -> Path:
    """The file that is there once this machine is about to go; `AESWEEP_LEAVING` names another."""
    return Path(os.environ.get("AESWEEP_LEAVING") or Path(tempfile.gettempdir()) / "aesweep-leaving")

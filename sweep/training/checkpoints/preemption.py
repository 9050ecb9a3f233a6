"""Marker file of a preemption: while it exists on a machine, the trials there keep a state after every epoch."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def leaving_note() -> Path:
    """Returns the path of the file that exists once this machine is about to be preempted.

    The environment variable `AESWEEP_LEAVING` overrides the default path.
    """
    return Path(os.environ.get("AESWEEP_LEAVING") or Path(tempfile.gettempdir()) / "aesweep-leaving")

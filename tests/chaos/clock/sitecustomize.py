"""Moves the clock of every Python process that starts with this folder on its path: by what a file says, in seconds."""

import os
import time

_true_time = time.time
_file = os.environ.get("CHAOS_CLOCK")


def _moved_time() -> float:
    try:
        with open(_file) as file:
            return _true_time() + float(file.read() or 0)
    except (OSError, ValueError):
        return _true_time()


if _file:
    time.time = _moved_time

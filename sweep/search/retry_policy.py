"""Why a trial's attempt ended without a result, and whether another attempt can help.

Pure: texts and numbers in, plain values out. Divergence is no failure: it is what a configuration does, every time.
"""

from __future__ import annotations

import re

from aesweep.storage.event import Cause

MAX_IN_A_ROW = 3  # attempts that fail without a new epoch between them


# What Ray and torch write of an error. Ray's words on a crash mention memory too, as something to think of.
_SIGNS = (
    (Cause.OUT_OF_MEMORY, r"NODE_OUT_OF_MEMORY|running low on memory|OutOfMemoryError|^MemoryError\b|bad_alloc"),
    (Cause.LOST_NODE, r"node has died|node has crashed|NodeDied|node was (?:terminated|drained)|raylet died"),
    (Cause.CRASHED, r"ActorDied|ActorUnavailable|WorkerCrashed|died unexpectedly|process has died|is unavailable"),
    (Cause.STORAGE, r"^(?:OSError|PermissionError|FileNotFoundError|ObjectLostError|\S*ObjectFetchTimedOutError)\b"),
)


def cause_of(text: str) -> Cause:
    """The cause that an error's text tells of; one without a text is that of a worker that could not say a word."""
    if not text.strip():
        return Cause.CRASHED
    found = (cause for cause, sign in _SIGNS if re.search(sign, text, re.MULTILINE))
    return next(found, Cause.ERROR)


def can_help(cause: Cause, num_in_a_row: int) -> bool:
    """Whether another attempt is worth it.

    Args:
        cause: of the attempt that failed.
        num_in_a_row: attempts, this one included, that failed since the trial's last epoch was recorded.
    """
    return cause is not Cause.ERROR and num_in_a_row < MAX_IN_A_ROW

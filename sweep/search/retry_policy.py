"""Decides why an attempt at a trial ended without a result, and whether another attempt can help.

All functions are pure. Divergence is not a failure, since a configuration that diverges does so in every attempt.
"""

from __future__ import annotations

import re

from aesweep.storage.event import Cause

MAX_IN_A_ROW = 3  # attempts that fail without a new epoch between them


# What Ray and torch write about an error. Ray's message about any crash names lack of memory as a possible cause, so
# no pattern may match the word alone.
_SIGNS = (
    (Cause.OUT_OF_MEMORY, r"NODE_OUT_OF_MEMORY|running low on memory|OutOfMemoryError|^MemoryError\b|bad_alloc"),
    (Cause.LOST_NODE, r"node has died|node has crashed|NodeDied|node was (?:terminated|drained)|raylet died"),
    (Cause.CRASHED, r"ActorDied|ActorUnavailable|WorkerCrashed|died unexpectedly|process has died|is unavailable"),
    (Cause.STORAGE, r"^(?:OSError|PermissionError|FileNotFoundError|ObjectLostError|\S*ObjectFetchTimedOutError)\b"),
)


def cause_of(text: str) -> Cause:
    """Returns the cause of an error by its text. An empty text counts as a crash: the worker died without a message."""
    if not text.strip():
        return Cause.CRASHED
    found = (cause for cause, sign in _SIGNS if re.search(sign, text, re.MULTILINE))
    return next(found, Cause.ERROR)


def can_help(cause: Cause, num_in_a_row: int) -> bool:
    """Returns whether another attempt can help.

    Args:
        cause: the cause of the attempt that failed.
        num_in_a_row: number of attempts, this one included, that failed since the trial's last epoch was recorded.
    """
    return cause is not Cause.ERROR and num_in_a_row < MAX_IN_A_ROW

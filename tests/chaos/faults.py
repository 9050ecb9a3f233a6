"""Which faults there are, how often each is drawn, and what some of them make of a file.

Starting a process takes seconds, so what needs one is drawn less often.
"""

from __future__ import annotations

import random

from tests.chaos.unreliable_s3 import FAULTS as STORAGE_FAULTS

STATES = ("state truncated", "state emptied", "state with a flipped bit")
KEEPER = "kill -9 of the keeper of files"
WORKER = "kill -9 of a trial's worker"
TRAINER = "kill -9 of a trainer"
RAYLET = "kill -9 of a node's raylet"
BRIEFLY = "node cut off for a moment"
LONG = "node cut off, given up, and back"
CLOCK = "clock moved by an hour"
CUT = "journal cut at a random byte"
FLIPPED = "journal with a flipped bit"
CHECKPOINT = "winner's checkpoint damaged"
DRIVER = "kill -9 of the driver"
FULL = "disk full"
OUT = "storage: out of reach"
FOLDER = "run's folder lost, storage there"
RUNNING = {WORKER: 8, TRAINER: 2, KEEPER: 1, RAYLET: 1, BRIEFLY: 2, LONG: 1, CLOCK: 5, **dict.fromkeys(STATES, 4)}
ENDING = {DRIVER: 5, "SIGTERM": 2, "SIGINT": 2, FULL: 3}
DOWN = {CUT: 5, FLIPPED: 4, CHECKPOINT: 2, **dict.fromkeys(STATES, 2)}
# Of a run that has a storage as well.
RUNNING_STORED = RUNNING | dict.fromkeys(STORAGE_FAULTS, 3)
ENDING_STORED = ENDING | {OUT: 3}
DOWN_STORED = DOWN | {FOLDER: 4}


def drawn(source: random.Random, weights: dict[str, int]) -> str:
    return source.choices(list(weights), list(weights.values()))[0]


def damaged(content: bytes, fault: str, source: random.Random) -> bytes:
    """A file as such a fault leaves it. Raises ValueError where it is empty."""
    if "emptied" in fault:
        return b""
    position = source.randrange(len(content))
    return content[:position] if "truncated" in fault else flipped(content, position, source)


def flipped(content: bytes, position: int, source: random.Random) -> bytes:
    """With one bit changed there."""
    changed = bytearray(content)
    changed[position] ^= 1 << source.randrange(8)
    return bytes(changed)

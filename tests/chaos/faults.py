"""Which faults there are, and how often each is drawn.

Starting a process takes seconds, so what needs one is drawn less often.
"""

from __future__ import annotations

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

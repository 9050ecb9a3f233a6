"""How a command carries out a run. Nothing here changes a result."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class SessionSettings:
    """The options that every command that trains has in common.

    Attributes:
        workers: trials at once on this machine; None for its cores.
        address: of a running Ray cluster; None for this machine alone.
        gpus: to wait for, up to `gpu_wait_s`, before training on a cluster; None for what one trial needs.
        gpu_wait_s: how long to wait for them before going on with those that are up.
        storage: URL of a folder of runs, where this one is kept as well; None for its folder alone.
        save_every_s: how much of a trial's training a kill may cost, about.
        as_json: say in JSON how the run ended.
        quiet: no progress on stderr.
        allow_failures: exit with 0 though trials failed, where their cells have winners all the same.
    """

    workers: int | None = None
    address: str | None = None
    gpus: int | None = None
    gpu_wait_s: float = 900.0
    storage: str | None = None
    save_every_s: float = 30.0
    as_json: bool = False
    quiet: bool = False
    allow_failures: bool = False


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """What the driver of a run goes by.

    Attributes:
        num_workers: trials that train at once on this machine; ignored with an address.
        address, num_gpus, gpu_wait_s: see `SessionSettings`.
        state_interval_s: time between two states of a trial from which a killed training goes on.
        options: of the command, for the record, see `aesweep.run.command_options`.
    """

    num_workers: int
    address: str | None = None
    num_gpus: int | None = None
    gpu_wait_s: float = 900.0
    state_interval_s: float = 30.0
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

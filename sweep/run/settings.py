"""How a command carries out a run. Nothing here changes a result."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class SessionSettings:
    """The options that every command that trains has in common.

    Attributes:
        workers: number of trials that train at once; None for this machine's number of cores, and on a cluster for as
            many as there is room for.
        address: address of a running Ray cluster; None for this machine alone.
        gpus: number of GPUs to wait for, up to `gpu_wait_s`, before training on a cluster; None for what one trial
            needs.
        gpu_wait_s: seconds to wait for GPUs before training on those that are up.
        storage: URL of a folder of runs in which a copy of the run is kept; None for its folder alone.
        save_every_s: seconds between two saved states of a trial: about how much of its training a kill may cost.
        as_json: print in JSON how the run ended.
        quiet: show no progress on stderr.
        allow_failures: exit with 0 though trials failed, as long as their cells have winners.
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
    """The settings of the driver of a run.

    Attributes:
        num_workers: number of trials that train at once on this machine.
        address, num_gpus, gpu_wait_s: see `SessionSettings`.
        state_interval_s: seconds between two saved states of a trial, from which a killed training resumes.
        options: the command's options, which are recorded, see `aesweep.run.command_options`.
    """

    num_workers: int
    address: str | None = None
    num_gpus: int | None = None
    gpu_wait_s: float = 900.0
    state_interval_s: float = 30.0
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def most_at_once(self) -> int | None:
        """How many trials train at once; on a cluster what the command says, None for as many as there is room for."""
        return self.num_workers if self.address is None else self.options.get("workers")

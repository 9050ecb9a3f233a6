"""The descendants of this process, which are Ray's processes, as Linux lists them in /proc."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

Processes = dict[int, str]  # process id to its start time, because ids are reused


def started_processes() -> Processes:
    """Returns all descendants of this process that are alive; none on a system without Linux's /proc."""
    found: dict[int, tuple[int, str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # After the name, which may hold any character, come the state, the parent, ...; field 22 is the start time.
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] != "Z":
                found[int(folder.name)] = int(fields[1]), fields[19]
    mine: Processes = {}
    parents = {os.getpid()}
    while parents:
        children = {number for number, (parent, _) in found.items() if parent in parents and number not in mine}
        mine |= {number: found[number][1] for number in children}
        parents = children
    return mine


def kill_processes(processes: Processes) -> None:
    """Kills the processes that are still alive, all at once, because none of them can clean up after the others."""
    for number, began in processes.items():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{number}/stat").read_text(errors="replace").rpartition(")")[2].split()[19] == began:
                os.kill(number, signal.SIGKILL)

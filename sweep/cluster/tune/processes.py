"""The processes that this one started, and those that they started: Ray's, as the system knows them."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

Processes = dict[int, str]  # process number to when it began, since numbers are given again


def started_processes() -> Processes:
    """All that are alive; none where the system does not tell, as Linux does in /proc."""
    found: dict[int, tuple[int, str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # After the name, which may hold anything: state, parent, ..., and as the 22nd field when it began.
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
    """Ends those that are still alive. None of them can look after the others any more, so all end together."""
    for number, began in processes.items():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{number}/stat").read_text(errors="replace").rpartition(")")[2].split()[19] == began:
                os.kill(number, signal.SIGKILL)

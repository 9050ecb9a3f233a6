"""The installed command at work on a run, watched by its journal and killed at an event."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIMIT_S = 3600
COMMON = ("--workers", "1", "--save-every", "0", "--quiet")

Event = dict[str, Any]


def is_retraining_row(event: Event) -> bool:
    return event["kind"] == "row" and event["trial"].startswith("retraining-")


# Where a driver is killed: at the event that shows that it is there. In the order in which a run passes them.
PHASES: dict[str, Callable[[Event], bool]] = {
    "search": lambda event: event["kind"] == "row" and not is_retraining_row(event),
    "between stages": lambda event: event["kind"] == "stage_ended" and event["stage"] != "retraining",
    "retraining": is_retraining_row,
    "test baselines": lambda event: event["kind"] == "baseline" and event["split"] == "test",
    "pictures": lambda event: event["kind"] == "pictures",
    "report": lambda event: event["kind"] == "run_ended",
}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "aesweep.cli", *map(str, arguments)]


def ended_well(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """A command from its beginning to its end with 0."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=LIMIT_S, env=environment)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-4000:]}"
    assert "Traceback" not in done.stderr, done.stderr[-4000:]
    return done


def killed(journal: Path, phase: str, *arguments: object) -> None:
    """Starts a command and ends it by SIGKILL at the first event of a phase that it records itself."""
    known = num_lines(journal)
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for(journal, PHASES[phase], known, process.poll)
    except BaseException:
        process.kill()
        said = process.communicate()[1].decode(errors="replace")
        raise AssertionError(f"{phase} was not reached: {said[-4000:]}") from None
    os.kill(process.pid, signal.SIGKILL)
    said = process.communicate()[1].decode(errors="replace")
    assert process.returncode == -signal.SIGKILL, f"it had ended with {process.returncode}: {said[-4000:]}"


def wait_for(
    journal: Path, is_wanted: Callable[[Event], bool], known: int, poll: Callable[[], int | None]
) -> list[Event]:
    """Waits for an event after so many that are known; gives those that came, the last one of them wanted.

    Args:
        journal: the file, which need not be there yet.
        is_wanted: for one event.
        known: number of lines to pass over.
        poll: not None once nobody writes it any more.
    """
    deadline = time.monotonic() + LIMIT_S
    found: list[Event] = []
    position, lines = 0, 0
    while True:
        ended = poll() is not None
        if journal.exists():
            with open(journal, "rb") as file:
                file.seek(position)
                content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            position += len(whole)
            for line in whole.splitlines():
                lines += 1
                if lines > known:
                    found.append(json.loads(line))
                    if is_wanted(found[-1]):
                        return found
        if ended or time.monotonic() > deadline:
            raise TimeoutError(f"the event did not come; there were {[event['kind'] for event in found[-20:]]}")
        time.sleep(0.002)


def num_lines(path: Path) -> int:
    """How many lines a journal has; 0 where there is none."""
    return path.read_bytes().count(b"\n") if path.exists() else 0

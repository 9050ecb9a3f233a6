"""Runs that exporters are tried on, and what they should give back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aesweep.results import LoadedRun, load_run
from aesweep.storage.journal import read_journal
from aesweep.storage.run_folder import RunFolder
from tests.report.synthetic import write_events

METRICS = ("loss", "training_mse", "validation_mse", "validation_psnr_db", "rate_nats", "learning_rate", "seconds")
RESULTS = ("test_mse", "test_psnr_db", "test_ssim", "test_rate_nats")
EVIL_STAGE = "../../<script>alert('1')</script>\"🙂\u202etxet %2F"
EVIL_DATASET = "/etc/שלום ..\\C: $(x)`"


class Quiet:
    """Steps that nobody sees; they are counted."""

    total = done = 0

    def begin(self, title: str, total: int) -> None:
        self.total, self.done = total, 0

    def advance(self, count: int = 1) -> None:
        self.done += count


def hostile_run(root: Path, folder: Path) -> LoadedRun:
    """A run whose names of a stage, a data set and their trials could break out of a folder, a tag or an address.

    Two of its trials are said to have diverged and failed.
    """
    text = json.dumps(read_journal(root / "journal.jsonl"))
    for name, evil in (("architecture", EVIL_STAGE), ("digits", EVIL_DATASET)):
        text = text.replace(name, json.dumps(evil)[1:-1])
    events = [{key: event[key] for key in event if key not in ("seq", "time", "crc")} for event in json.loads(text)]
    stopped = [event for event in events if event["kind"] == "trial_ended" and event["status"] == "stopped"]
    for event, status in zip(stopped, ("diverged", "failed"), strict=False):
        event.update(status=status, reason="<b>no reason</b>")
    return load_run(write_events(RunFolder(folder / "a run's name"), events).root)


def journal_events(run: LoadedRun) -> list[dict[str, Any]]:
    """The events of a journal, read without the code that is tested; a torn last line is left out."""
    lines = run.folder.journal.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]


def expected_rows(run: LoadedRun) -> dict[tuple[str, str], dict[int, float]]:
    """What the journal says: (trial, metric) to epoch to value."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for event in journal_events(run):
        if event["kind"] == "row":
            for name in METRICS:
                if event.get(name) is not None:
                    found.setdefault((event["trial"], name), {})[event["epoch"]] = event[name]
    return found


def expected_results(run: LoadedRun) -> dict[tuple[str, str], tuple[int, float]]:
    """(retraining, metric) to its epochs and its error on the test images."""
    found = {}
    for event in journal_events(run):
        if event["kind"] == "retrained":
            for name in RESULTS:
                if event.get(name) is not None:
                    found[event["trial"], name] = event["epochs"], event[name]
    return found


def files_below(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by their paths."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def in_parts(run: LoadedRun, folder: Path, parts: int) -> tuple[LoadedRun, Any]:
    """Returns a run at the beginning of its journal, and a function that records the next part of it."""
    lines = run.folder.journal.read_bytes().splitlines(keepends=True)
    target = folder / run.name
    target.mkdir()
    ends = [2 + (len(lines) - 2) * part // parts for part in range(1, parts + 1)]

    def record() -> None:
        count = ends.pop(0)
        # The last line is torn, as a reader may find it.
        rest = lines[count][:25] if count < len(lines) else b""
        (target / "journal.jsonl").write_bytes(b"".join(lines[:count]) + rest)

    record()
    return load_run(target), record

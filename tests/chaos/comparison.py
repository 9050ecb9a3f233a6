"""How a disturbed run differs from an undisturbed one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from aesweep.storage.journal import read_journal

TIMES = ("time", "seq", "seconds")


def recoveries(events: list[dict]) -> list[float]:
    """Seconds from each recorded failure to the trial's next new row, where that came in the same session."""
    found = []
    for number, event in enumerate(events):
        if event["kind"] != "failure" or not event["retried"]:
            continue
        later = (
            e
            for e in events[number + 1 :]
            if e["kind"] in ("resumed", "run_ended")
            or (e["kind"] in ("row", "failure") and e["trial"] == event["trial"])
        )
        after = next(later, None)
        # A clock that was moved between the two says nothing.
        if after and after["kind"] == "row" and 0 <= after["time"] - event["time"] < 600:
            found.append(after["time"] - event["time"])
    return found


def differences(run: Path, whole: Path, was_full: bool) -> list[str]:
    """How a run differs from an undisturbed one, but for times and for what tells of the disturbance.

    Where the disk `was_full`, the models of a search's best trials may be missing.
    """
    found = []
    events, others = read_journal(run / "journal.jsonl"), read_journal(whole / "journal.jsonl")
    views: dict[str, Callable[[list[dict]], object]] = {
        "rows": lambda journal: {
            (e["trial"], e["epoch"]): {**_plain(e), "checkpoint": None if was_full else e.get("checkpoint")}
            for e in journal
            if e["kind"] == "row"
        },
        "decisions": lambda journal: [_plain(e) for e in journal if e["kind"] == "decision"],
        "ends": lambda journal: {e["trial"]: (e["status"], e["epochs"]) for e in journal if e["kind"] == "trial_ended"},
        "results": lambda journal: {
            str(_plain(e)) for e in journal if e["kind"] in ("cell_winner", "stage_winner", "retrained", "baseline")
        },
        # Where a winner's retraining failed at first, its stage is shown again once it has succeeded: the last counts.
        "pictures": lambda journal: {
            (e["dataset"], e["stage"], e["purpose"]): _plain(e) for e in journal if e["kind"] == "pictures"
        },
    }
    found += [f"other {name}" for name, view in views.items() if view(events) != view(others)]
    if comparable_report(run) != comparable_report(whole):
        found.append("another report")
    for part in ("checkpoints", "pictures", "figures"):
        files, expected = (
            {
                path.relative_to(folder): path.read_bytes()
                for path in (folder / part).rglob("*")
                if path.is_file() and not (was_full and part == "checkpoints" and path.name[:10] != "retraining")
            }
            for folder in (run, whole)
        )
        found += [f"{name} differs" for name in files.keys() | expected.keys() if files.get(name) != expected.get(name)]
    return found


def comparable_report(run: Path) -> str:
    """The report without its ledger, times and commands: everything else must be the same to the byte."""
    text = (run / "report.md").read_text()
    text = re.sub(r"## Failures\n.*?(?=\n## )", "", text, flags=re.DOTALL)
    text = re.sub(r"## How to reproduce it\n.*", "", text, flags=re.DOTALL)
    text = re.sub(r" Wall time: [^(]*\.", "", text)
    # The account's last column is core hours.
    before, account, after = text.partition("## What the search cost\n")
    return before + account + re.sub(r"^(\|.*\|)[^|]*\|$", r"\1", after, flags=re.MULTILINE)


def _plain(event: dict) -> dict:
    return {name: value for name, value in event.items() if name not in TIMES}

"""What users do with runs, on real studies: each flow comes to what an undisturbed run comes to.

`make flows` is the whole, with every study file of jobs/, and prints the table; a part is in `make test-ray`, one flow
in `make test`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aesweep.storage.journal import read_journal
from tests.chaos.checker import violations
from tests.chaos.comparison import comparable_report, differences
from tests.flows.conftest import workers
from tests.flows.session import COMMON, PHASES, ended_well, killed
from tests.flows.studies import TriedStudy, all_studies, write_faces
from tests.flows.table import flow

pytestmark = [pytest.mark.ray, pytest.mark.timeout(3600)]

# Of each study, what `make test` tries, and what `make test-ray` tries besides.
SMALLEST_PART = {"faces": ("looked at",)}
SMALL_PART = {"quickstart": ("looked at", "killed"), "faces": ("extended by samples",)}


def tried(*flows: str, but: tuple[str, ...] = ()):
    """Every study with every one of these flows; what is in neither part is in `make flows` alone."""
    found = []
    for name, study in all_studies().items():
        for what in flows:
            if (name, what) in but:
                continue
            is_small, is_smallest = (what in part.get(name, ()) for part in (SMALL_PART, SMALLEST_PART))
            marks = [] if is_smallest else [pytest.mark.slow if is_small else pytest.mark.flows]
            if study.lacks:
                marks.append(pytest.mark.skip(reason=study.lacks))
            found.append(pytest.param(study, what, id=f"{name}-{what.replace(' ', '-')}", marks=marks))
    return pytest.mark.parametrize(("study", "what"), found)


def common(study: TriedStudy) -> tuple[str, ...]:
    return (*workers(study), *COMMON[2:])


def wrong(run: Path, study: TriedStudy, expected: Path) -> list[str]:
    """What a finished run has that it should not have; where the order may differ, by rules instead of a comparison."""
    assert not list(run.glob("states/*"))
    if study.is_ordered:
        return differences(run, expected, False)
    events = read_journal(run / "journal.jsonl")
    return violations(events, events[0]["study"])


@tried("looked at")
def test_finished_run_tells_the_same_wherever_it_lies(tmp_path, study, what, whole):
    run = whole(study)
    with flow(study.name, what):
        events = read_journal(run / "journal.jsonl")
        assert violations(events, events[0]["study"]) == []
        before = (run / "report.md").read_bytes()
        copied = tmp_path / "copied" / "under another name"
        shutil.copytree(run, copied)
        shutil.rmtree(copied / "tables")
        (copied / "report.md").unlink()
        moved = copied.with_name("moved")
        ended_well("report", copied)
        assert (copied / "report.md").read_bytes() == before
        copied.rename(moved)
        ended_well("report", moved)
        assert (moved / "report.md").read_bytes() == before
        assert files(moved) == files(run)
        told = json.loads(ended_well("status", moved, "--json").stdout)
        assert told["status"] == "completed"
        resumed = ended_well("resume", moved, *common(study))
        assert (moved / "report.md").read_bytes() == before and "resumed" not in kinds(moved), resumed.stderr


def files(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*.*") if path.name[0] != "."}


def kinds(run: Path) -> list[str]:
    return [event["kind"] for event in read_journal(run / "journal.jsonl")]


@tried("reconstructed")
def test_winner_of_each_retraining_reconstructs_images(tmp_path, study, what, whole):
    run = whole(study)
    shape = read_journal(run / "journal.jsonl")[0]["datasets"]
    side = next(iter(shape.values()))["shape"][-1]
    with flow(study.name, what):
        write_faces(tmp_path / "faces", side)
        images = sorted((tmp_path / "faces" / "test").iterdir())[:2]
        checkpoints = sorted((run / "checkpoints").glob("retraining-*"))
        assert checkpoints
        done = ended_well(
            "reconstruct", checkpoints[0], *images, "--output", tmp_path / "out", "--add-noise", "0.05", "--json"
        )
        rows = json.loads(done.stdout)
        assert len(rows) == len(images) and list((tmp_path / "out").glob("*.png"))


@tried("killed")
def test_run_that_is_killed_in_every_phase_comes_to_the_same_end(tmp_path, study, what, whole):
    expected = whole(study)
    run = tmp_path / "runs" / study.name
    journal = run / "journal.jsonl"
    arguments = ["run", *study.arguments(tmp_path), "--runs", tmp_path / "runs"]
    for phase in PHASES:
        with flow(study.name, f"kill: {phase}"):
            killed(journal, phase, *arguments, *common(study))
        arguments = ["resume", run]
    with flow(study.name, "resume"):
        ended_well(*arguments, *common(study))
        assert wrong(run, study, expected) == []


EXTENSIONS = {
    "extended by samples": ("extend", "--samples", "1"),
    "extended by epochs": ("extend", "--epochs", None),
    "retrained": ("retrain", "--epochs", "3", "--seeds", "1"),
}


@tried(*EXTENSIONS)
def test_what_is_added_to_a_run_comes_to_the_same_end_after_a_kill(tmp_path, study, what, whole):
    command, *settings = EXTENSIONS[what]
    events = read_journal(whole(study) / "journal.jsonl")
    stages = events[0]["study"]["stages"]
    epochs = max(stage["epochs"] for stage in stages.values()) + 2
    settings = [epochs if setting is None else setting for setting in settings]
    if what == "extended by samples":
        random = [name for name, stage in stages.items() if draws(stage["space"])]
        settings += [part for name in random for part in ("--stage", name)]
    folders = [tmp_path / kind / study.name for kind in ("undisturbed", "killed")]
    for folder in folders:
        shutil.copytree(whole(study), folder)
    with flow(study.name, what):
        ended_well(command, folders[0], *settings, *common(study))
        later = read_journal(folders[0] / "journal.jsonl")
        assert later[: len(events)] == events
        added = later[len(events) :]
        assert (added[-1]["kind"], added[-1]["status"]) == ("run_ended", "completed")
        assert len({event["trial"] for event in added if event["kind"] == "trial_ended"}) >= 1
    for number, phase in enumerate(("search", "retraining", "report")):
        if phase == "search" and what == "retrained":
            continue
        if phase == "retraining" and not any(event["kind"] == "retraining_created" for event in added):
            continue  # the winners are those that they were
        with flow(study.name, f"{what}, kill: {phase}"):
            is_first = number == 0 or (number == 1 and what == "retrained")
            start = [command, folders[1], *settings] if is_first else ["resume", folders[1]]
            killed(folders[1] / "journal.jsonl", phase, *start, *common(study))
    with flow(study.name, f"{what}, resumed"):
        ended_well("resume", folders[1], *common(study))
        if study.is_ordered:
            assert differences(folders[1], folders[0], False) == []
        ends = [e for e in read_journal(folders[1] / "journal.jsonl") if e["kind"] == "run_ended"]
        assert ends[-1]["status"] == "completed"


def draws(space: dict) -> bool:
    return any(isinstance(axis, dict) and not {"value", "grid"} & set(axis) for axis in space.values())


@tried("fetched from a folder", "fetched from S3")
def test_lost_run_is_fetched_from_its_storage_and_goes_on(tmp_path, study, what, whole, request):
    storage = str(tmp_path / "storage") if what.endswith("folder") else f"{request.getfixturevalue('bucket')}/runs"
    storage = storage if what.endswith("folder") else f"{storage}-{study.name}"
    expected = whole(study)
    run = tmp_path / "runs" / study.name
    where = (*common(study), "--storage", storage)
    with flow(study.name, what):
        start = ["run", *study.arguments(tmp_path), "--runs", tmp_path / "runs"]
        killed(run / "journal.jsonl", "search", *start, *where)
        for phase in ("retraining", "pictures"):
            shutil.rmtree(run)
            ended_well("fetch", study.name, "--from", storage, "--runs", tmp_path / "runs")
            killed(run / "journal.jsonl", phase, "resume", run, *where)
        shutil.rmtree(run)
        ended_well("fetch", study.name, "--from", storage, "--runs", tmp_path / "runs")
        ended_well("resume", run, *where)
        assert wrong(run, study, expected) == []
        ended_well("fetch", study.name, "--from", storage, "--runs", tmp_path / "home")
        home = tmp_path / "home" / study.name
        assert files(home) == files(run) and comparable_report(home) == comparable_report(run)

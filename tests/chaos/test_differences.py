"""What counts as a difference between a disturbed run and an undisturbed one."""

from __future__ import annotations

import shutil

import pytest

from aesweep.storage.journal import Journal, read_journal
from aesweep.storage.run_folder import RunFolder
from aesweep.study.study_file import load_study
from tests.chaos.comparison import differences
from tests.search.toy_cluster import finished, toy, toy_images  # noqa: F401 - fixtures

PICTURES = {
    "dataset": "digits",
    "stage": "architecture",
    "purpose": "reconstruction",
    "file": "pictures/digits-architecture.npz",
    "latent_dim": 4,
    "noise_variances": None,
}


@pytest.fixture
def runs(small_study, write_study, tmp_path, images):
    """Two folders with the record of one run."""
    folder = RunFolder(tmp_path / "run")
    finished(load_study(write_study(small_study)), folder, images)
    (folder.root / "report.md").write_text("# Report\n")
    shutil.copytree(folder.root, tmp_path / "other")
    return folder.root, tmp_path / "other"


def add(root, *events: dict) -> None:
    with Journal(root / "journal.jsonl") as journal:
        for event in events:
            journal.append("pictures", **PICTURES, **event)


def test_run_is_as_itself(runs):
    assert differences(*runs, False) == []


def test_pictures_that_were_made_again_count_as_they_are_in_the_end(runs):
    add(runs[0], {"sha256": "of another seed"}, {"sha256": "of the first seed"})
    add(runs[1], {"sha256": "of the first seed"})
    assert differences(*runs, False) == []
    add(runs[0], {"sha256": "of another seed"})
    assert differences(*runs, False) == ["other pictures"]


@pytest.mark.parametrize(
    ("kind", "field", "value", "expected"),
    [
        ("row", "loss", 9.0, "other rows"),
        ("decision", "action", "continue", "other decisions"),
        ("cell_winner", "trial", "another", "other results"),
        ("retrained", "test_mse", 9.0, "other results"),
        ("trial_ended", "status", "failed", "other ends"),
    ],
)
def test_what_is_recorded_otherwise_is_told(runs, kind, field, value, expected):
    events = read_journal(runs[0] / "journal.jsonl")
    changed = next(e for e in events if e["kind"] == kind and e[field] != value)
    (runs[0] / "journal.jsonl").unlink()
    with Journal(runs[0] / "journal.jsonl") as journal:
        for event in events:
            fields = {name: found for name, found in event.items() if name not in ("seq", "kind", "time")}
            journal.append(event["kind"], **{**fields, **({field: value} if event is changed else {})})
    assert differences(*runs, False) == [expected]

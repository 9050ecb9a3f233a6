"""`aesweep compare` on real run folders: what goes where, exit codes, and faulty uses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from aesweep.cli.commands import commands
from aesweep.report.comparison.comparison import compare_all
from aesweep.storage.journal import Journal
from aesweep.storage.run_folder import RunFolder
from tests.report.simulated import simulated_events


def call(*arguments: object):
    return CliRunner().invoke(commands, ["compare", *(str(argument) for argument in arguments)])


def write(folder: Path, chance: int, study_seed: int = 1, **changes) -> Path:
    settings = {"seeds": 1, "draws": 0.0, "shift": 0.0, "retrained": 5, "of": "cells"}
    folder.mkdir(parents=True)
    with Journal(folder / "journal.jsonl") as journal:
        for event in simulated_events(chance, study_seed, **{**settings, **changes}):
            journal.append(**{name: value for name, value in event.items() if name not in ("seq", "time")})
    return folder


@pytest.fixture
def runs(tmp_path) -> list[Path]:
    return [write(tmp_path / "a", 1), write(tmp_path / "b", 2, shift=0.5), write(tmp_path / "c", 3, study_seed=4)]


def test_page_goes_to_stdout(runs):
    done = call(*runs[:2])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("# `b` beside `a`\n") and "yes, worse" in done.stdout


def test_each_run_is_compared_with_the_first(runs):
    done = call(*runs, "--json")
    found = json.loads(done.stdout)["comparisons"]
    assert [(part["reference"], part["other"]) for part in found] == [("a", "b"), ("a", "c")]
    assert found[0]["winners"][0]["verdict"] == "differs"


def test_output_is_written_to_a_folder_and_nothing_else_changes(runs, tmp_path):
    before = {path: path.read_bytes() for folder in runs for path in folder.rglob("*") if path.is_file()}
    done = call(*runs[:2], "--output", tmp_path / "new" / "out")
    assert done.stdout == f"{tmp_path / 'new' / 'out' / 'comparison.md'}\n"
    assert (tmp_path / "new" / "out" / "comparison.md").read_text() == call(*runs[:2]).stdout
    assert (tmp_path / "new" / "out" / "comparison.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "new" / "out" / "comparison.json").read_text() == call(*runs[:2], "--json").stdout
    assert {path: path.read_bytes() for folder in runs for path in folder.rglob("*") if path.is_file()} == before


def test_same_runs_give_the_same_bytes(runs):
    assert call(*runs).stdout_bytes == call(*runs).stdout_bytes


def test_runs_of_one_name_are_called_by_their_paths(runs, tmp_path):
    other = write(tmp_path / "elsewhere" / "a", 5)
    assert f"# `{other}` beside `{runs[0]}`" in call(runs[0], other).stdout


def test_one_run_or_the_same_run_twice_is_a_usage_error(runs):
    assert call().exit_code == 2
    alone, twice = call(runs[0]), call(runs[0], runs[1], f"{runs[0]}/")
    assert alone.exit_code == twice.exit_code == 2
    assert "expected two runs or more" in alone.stderr and "a run is named twice" in twice.stderr


def test_folder_that_is_no_run_exits_with_73(runs, tmp_path):
    done = call(runs[0], tmp_path / "nothing")
    assert (done.exit_code, len(done.stderr.splitlines())) == (73, 1)
    assert "is not a run" in done.stderr


def test_damaged_journal_exits_with_65(runs):
    (runs[1] / "journal.jsonl").write_text("no record\n")
    done = call(*runs[:2])
    assert done.exit_code == 65 and "line 1" in done.stderr


def test_run_in_which_nothing_was_recorded_exits_with_65(runs):
    (runs[1] / "journal.jsonl").write_text("")
    done = call(*runs[:2])
    assert (done.exit_code, done.stdout) == (65, "")
    assert done.stderr == "error: b: nothing was recorded yet: compare it once a stage has begun\n"


def test_other_images_exit_with_65_in_one_line_and_leave_no_output(tmp_path, runs):
    events = simulated_events(2, 1, 1, 0.0, 0.0, 5, "cells")
    events[0]["datasets"]["digits"]["sha256"] = "00" * 32
    (tmp_path / "d").mkdir()
    with Journal(tmp_path / "d" / "journal.jsonl") as journal:
        for event in events:
            journal.append(**{name: value for name, value in event.items() if name not in ("seq", "time")})
    done = call(runs[0], tmp_path / "d", "--output", tmp_path / "out")
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (65, "", 1)
    assert "data set 'digits' of d has other images than that of a" in done.stderr
    assert not (tmp_path / "out").exists()


def test_output_that_cannot_be_written_exits_with_73(runs, tmp_path):
    (tmp_path / "file").write_text("")
    done = call(*runs[:2], "--output", tmp_path / "file" / "out")
    assert (done.exit_code, len(done.stderr.splitlines())) == (73, 1)


def test_recorded_run_of_an_older_version_is_compared_with_its_interrupted_self(tmp_path):
    import shutil

    old = Path(__file__).parents[1] / "storage" / "recorded" / "commit-5b10079"
    shutil.copytree(old / "interrupted", tmp_path / "interrupted")
    (tmp_path / "finished").mkdir()
    shutil.copy(old / "finished.jsonl", tmp_path / "finished" / "journal.jsonl")
    done = call(tmp_path / "finished", tmp_path / "interrupted", "--json")
    assert done.exit_code == 0
    (found,) = json.loads(done.stdout)["comparisons"]
    assert found["unfinished"] and found["tables"]
    assert all(row["difference"] == 0 for table in found["tables"] for row in table["rows"])


def test_each_part_of_the_work_is_followed(runs: list[Path]) -> None:
    parts: list[tuple[str, int, int | None]] = []
    compare_all([RunFolder(path) for path in runs[:2]], lambda *part: parts.append(part))
    assert [(done, num) for _, done, num in parts] == [(0, 3), (1, 3), (2, 3)]
    assert [text.split()[0] for text, _, _ in parts] == ["reading", "reading", "comparing"]

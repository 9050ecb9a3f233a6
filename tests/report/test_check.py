"""`aesweep report --check`: what differs from the run's folder is found and named; nothing else is."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from synthetic import EMPTY_FIGURE, Synthetic

from aesweep.cli.commands import commands
from aesweep.report.manifest import parse_manifest
from aesweep.report.page import write_report
from aesweep.storage.journal import Journal
from aesweep.storage.run_folder import RunFolder


@pytest.fixture(scope="module", autouse=True)
def quick() -> object:
    """Figures are files that hold their names, so that none has to be drawn again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "aesweep.report.sections.contents.Contents.encoded",
            lambda _, drawing, suffix: EMPTY_FIGURE + f"<!-- {drawing.name} as {suffix} -->".encode(),
        )
        yield


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    synthetic = Synthetic(datasets=("mnist",))
    synthetic._start()
    synthetic._search("architecture", "validation_mse", {"rows": "latent_dim", "columns": "hidden_layers"})
    folder = synthetic.write(tmp_path_factory.mktemp("runs") / "run")
    write_report(folder)
    return folder


@pytest.fixture
def copied(original: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(original.root, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def check(folder: RunFolder) -> tuple[int, list[str]]:
    done = CliRunner().invoke(commands, ["report", str(folder.root), "--check"])
    assert "Traceback" not in done.output
    return done.exit_code, done.stdout.splitlines()


def test_a_report_that_was_just_written_holds_and_is_not_touched(copied: RunFolder) -> None:
    before = {path: path.read_bytes() for path in copied.root.rglob("*") if path.is_file()}
    assert check(copied) == (0, [f"{copied.report}: still what the run's folder gives"])
    assert {path: path.read_bytes() for path in copied.root.rglob("*") if path.is_file()} == before


def edited(folder: RunFolder) -> str:
    path = folder.tables / "mnist-architecture.csv"
    text = path.read_text()
    at = text.index("0.0", text.index("\n"))
    path.write_text(text[: at + 3] + str((int(text[at + 3]) + 1) % 10) + text[at + 4 :])
    return "tables/mnist-architecture.csv: changed after it was written"


def edited_page(folder: RunFolder) -> str:
    folder.report.write_text(folder.report.read_text().replace("0.0", "0.00", 1))
    return "report.md: changed after it was written"


def deleted(folder: RunFolder) -> str:
    (folder.figures / "mnist-architecture.svg").unlink()
    return "figures/mnist-architecture.svg: missing"


def left_over(folder: RunFolder) -> str:
    (folder.figures / "old.png").touch()
    return "figures/old.png: left over, no part of this report"


@pytest.mark.parametrize("damage", [edited, edited_page, deleted, left_over])
def test_a_damage_is_named_alone_and_a_new_report_mends_it(
    copied: RunFolder, damage: Callable[[RunFolder], str]
) -> None:
    expected = damage(copied)
    assert check(copied) == (65, [expected])
    write_report(copied)
    assert check(copied)[0] == 0


def test_an_edit_is_found_though_the_manifest_was_edited_with_it(copied: RunFolder) -> None:
    edited(copied)
    path = copied.tables / "mnist-architecture.csv"
    values = json.loads(copied.manifest.read_text())
    values["files"]["tables/mnist-architecture.csv"] = hashlib.sha256(path.read_bytes()).hexdigest()
    copied.manifest.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    assert check(copied) == (65, ["tables/mnist-architecture.csv: not what is made of the run's folder"])


def test_a_hash_of_the_manifest_that_was_edited_is_found(copied: RunFolder) -> None:
    values = json.loads(copied.manifest.read_text())
    values["files"]["report.md"] = "0" * 64
    copied.manifest.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    assert check(copied) == (65, ["report.manifest.json: changed after it was written"])


def test_a_run_that_went_on_makes_its_report_old(copied: RunFolder) -> None:
    with Journal(copied.journal) as journal:
        journal.append("run_ended", status="completed", seconds=1.0)
    exit_code, lines = check(copied)
    assert exit_code == 65
    assert lines[0] == "journal.jsonl: has 1 line more than when the report was made"
    assert "report.md: of an earlier state of the run" in lines
    assert not any(line.startswith("tables/trials.csv") for line in lines)


def test_another_journal_is_told_from_one_that_grew(copied: RunFolder) -> None:
    values = json.loads(copied.manifest.read_text())
    values["journal"]["sha256"] = "0" * 64
    copied.manifest.write_text(json.dumps(values))
    assert "journal.jsonl: not the one that the report was made from" in check(copied)[1]


def test_another_version_is_told_from_an_edit(copied: RunFolder) -> None:
    """A file that another version drew has the bytes that its manifest knows; an edited one has not."""
    path = copied.figures / "mnist-architecture.png"
    path.write_bytes(b"drawn by an older version")
    values = json.loads(copied.manifest.read_text())
    now = values["versions"]["matplotlib"]
    values["versions"]["matplotlib"] = "3.0.0"
    values["files"]["figures/mnist-architecture.png"] = hashlib.sha256(path.read_bytes()).hexdigest()
    copied.manifest.write_text(json.dumps(values))
    name = "figures/mnist-architecture.png"
    assert check(copied) == (1, [f"{name}: unchanged since it was made with matplotlib 3.0.0 (now {now})"])
    path.write_bytes(b"edited")
    assert check(copied) == (65, [f"{name}: changed after it was written"])


def test_other_versions_that_make_the_same_bytes_are_no_difference(copied: RunFolder) -> None:
    values = json.loads(copied.manifest.read_text())
    values["versions"]["pillow"] = "1.0"
    copied.manifest.write_text(json.dumps(values))
    assert check(copied)[0] == 0


@pytest.mark.parametrize("content", [None, "", "[]", '{"format": 1}', "\x00"])
def test_a_report_without_a_manifest_is_not_taken_for_true(copied: RunFolder, content: str | None) -> None:
    copied.manifest.unlink()
    if content is not None:
        copied.manifest.write_text(content)
    exit_code, (line,) = check(copied)
    assert exit_code == 65 and line.startswith("report.manifest.json: ") and "aesweep report" in line


def test_formats_are_written_checked_and_removed_with_their_files(copied: RunFolder) -> None:
    own = copied.tables / "paper.tex"
    own.write_text("a user's own")
    command = ["report", str(copied.root), "--formats", "pdf,latex", "--width", "column"]
    assert CliRunner().invoke(commands, command).exit_code == 0
    assert (copied.figures / "mnist-architecture.pdf").is_file() and (copied.tables / "run.bib").is_file()
    assert parse_manifest(copied.manifest.read_text()).settings.width == "column"
    assert check(copied)[0] == 0
    assert CliRunner().invoke(commands, ["report", str(copied.root), "--formats", "markdown"]).exit_code == 0
    assert not list(copied.figures.glob("*.pdf")) and [path.name for path in copied.tables.glob("*.tex")] == [own.name]
    assert check(copied)[0] == 0


def test_a_manifest_can_have_no_file_removed_but_a_reports_own(copied: RunFolder) -> None:
    for name in (
        "journal.jsonl",
        "../secret.csv",
        "tables/../journal.jsonl",
        "checkpoints/a.safetensors",
        "/etc/x.csv",
    ):
        values = json.loads(copied.manifest.read_text())
        values["files"] = {name: "0" * 64}
        with pytest.raises(ValueError, match="no file of a report"):
            parse_manifest(json.dumps(values))


def test_usage_errors_and_json(copied: RunFolder) -> None:
    runner = CliRunner()
    assert runner.invoke(commands, ["report", str(copied.root), "--check", "--formats", "pdf"]).exit_code == 2
    wrong = runner.invoke(commands, ["report", str(copied.root), "--formats", "word"])
    assert wrong.exit_code == 2 and "known are markdown" in wrong.stderr
    left_over(copied)
    done = runner.invoke(commands, ["report", str(copied.root), "--check", "--json"])
    assert done.exit_code == 65
    assert json.loads(done.stdout)["differences"] == ["figures/old.png: left over, no part of this report"]

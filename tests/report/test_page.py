"""The whole report: its sections, its links, the same bytes twice, unfinished runs, and what it may import."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from synthetic import EMPTY_FIGURE, Synthetic, write_events

from aesweep.process.errors import JournalError, RunFolderError
from aesweep.report.page import write_report
from aesweep.report.rows.types import Run
from aesweep.storage.run_folder import RunFolder

Events = list[dict[str, Any]]


def digests(folder: RunFolder) -> dict[str, str]:
    files = [folder.report, folder.page, *folder.tables.iterdir(), *folder.figures.iterdir()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def table_after(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table after a heading."""
    lines = text.partition(heading)[2].splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return [rows[0], *rows[2:]]


def plain(events: Events) -> Events:
    """Events as a writer takes them."""
    return [{name: value for name, value in e.items() if name not in ("seq", "time", "crc")} for e in events]


def test_every_section_is_there(mnist: str, report: str) -> None:
    headings = re.findall(r"^### (.*)$", mnist, flags=re.MULTILINE)
    assert headings == [
        "Architecture",
        "Regularization",
        "Denoising",
        "Winners on the full data",
        "Best configurations",
        "Search",
        "Which axis mattered",
    ]
    assert re.findall(r"^## (.*)$", report, flags=re.MULTILINE) == [
        "MNIST",
        "Fashion-MNIST",
        "Published claims",
        "What the search cost",
        "Failures",
        "How to reproduce it",
    ]


def test_links_lead_to_files_and_every_file_is_linked(report: str, folder: RunFolder) -> None:
    linked = set(re.findall(r"\]\(([^)]+)\)", report))
    assert all((folder.root / name).is_file() for name in linked)
    written = {f"{p.parent.name}/{p.name}" for p in [*folder.tables.iterdir(), *folder.figures.iterdir()]}
    # What is for a paper is input by it.
    assert {name for name in written if not name.endswith((".tex", ".bib"))} == linked


def test_every_figure_has_alternative_text(report: str) -> None:
    figures = re.findall(r"!\[(.*)\]\((.*)\)", report)
    assert len(figures) == 2 * 12
    assert all(len(alternative) > 60 for alternative, _ in figures)


def test_the_architecture_table(fashion: str, run: Run) -> None:
    header, *rows = table_after(fashion, "### Architecture")
    assert header == [
        "Latent dimension", "`1024`", "`512-128`", "`512-384-256-128`", "PCA", "Mean image", "Published, 3 layers",
        "Published, 5 layers",
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["15", "30", "50", "100"]
    best = run.stages["architecture"].best("fashion_mnist")
    assert rows[3][1] == f"**{best.last.validation_mse:.5f}**"
    assert rows[0][3].endswith(" ‡") and rows[1][3].endswith(" †")
    assert rows[3][4:] == ["0.00774", "0.0875", "0.047", "0.069"]
    assert sum("**" in cell for row in rows for cell in row) == 1


def test_a_cell_without_a_finished_trial_is_a_dash(mnist: str) -> None:
    assert table_after(mnist, "### Architecture")[2][2] == "–"


def test_the_regularization_table_names_strengths(mnist: str, run: Run) -> None:
    header, *rows = table_after(mnist, "### Regularization")
    assert [row[0] for row in rows] == [
        "None", "L1", "L2", "L1 + L2", "Dropout", "Sparse code", "*PCA*", "*Mean image*",
    ]  # fmt: skip
    strength = header.index("Strength")
    assert rows[3][strength].startswith("L1 1e-0") and ", L2 1e-0" in rows[3][strength]
    assert rows[0][strength] == "–" and rows[4][strength].startswith("Dropout 0.")
    assert rows[0][header.index("Gap")] == "+30 %"
    assert rows[1][header.index("Published validation MSE")] == "0.078"


def test_the_denoising_tables(mnist: str, folder: RunFolder, run: Run) -> None:
    header, *rows = table_after(mnist, "PSNR in dB")
    assert [row[0] for row in rows] == ["0.04", "0.25", "0.5"]
    assert rows[0][header.index("Validation: linear MMSE")] == "22.10"
    assert re.fullmatch(r"\*\*\d\d\.\d\d ± \d\.\d\d\*\*", rows[0][header.index("Test: network")])
    assert len(table_after(mnist, "SSIM, the mean")) == 4


def test_splits_and_sizes_are_stated(mnist: str) -> None:
    assert "54,000 training, 6,000 validation and 10,000 test images" in mnist
    assert "up to 27 epochs on 20,000 training images" in mnist and "judged on 3,000 validation images" in mnist
    assert "Retrained on all 60,000 training and validation images" in mnist


def test_failures_and_names_are_inert(report: str) -> None:
    row = next(line for line in report.splitlines() if "out of memory" in line)
    assert "`RuntimeError: <script>alert(1)</script> \\| 'rm' out of memory`" in row


def test_the_command_is_quoted(report: str) -> None:
    assert "```sh\naesweep run 'jobs/a study.yaml'\n```" in report


def test_another_process_writes_the_same_bytes_without_torch_ray_or_a_display(
    folder: RunFolder, other_folder: RunFolder
) -> None:
    shutil.copytree(
        folder.root, other_folder.root, ignore=shutil.ignore_patterns("figures", "tables", "*.md", "*.html")
    )
    script = (
        "import sys; from pathlib import Path; from aesweep.report.page import write_report; "
        "write_report(Path(sys.argv[1])); "
        "print([n for n in ('torch', 'ray', 'skimage', 'matplotlib.pyplot') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(other_folder.root)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
    )
    assert done.stdout.strip() == "[]" and done.stderr == ""
    assert digests(other_folder) == digests(folder)


def test_nothing_but_the_report_is_written(folder: RunFolder) -> None:
    names = {path.name for path in folder.root.iterdir()}
    assert names == {
        "journal.jsonl",
        "pictures",
        "report.md",
        "report.html",
        "report.manifest.json",
        "tables",
        "figures",
    }
    assert not [path for path in folder.root.rglob(".*")]


def test_an_interrupted_run_says_what_is_missing(
    events: Events, other_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)
    started = next(i for i, e in enumerate(events) if e["kind"] == "stage_started" and e["stage"] == "regularization")
    cut = plain(events[: started + 60])
    write_events(other_folder, [*cut, {"kind": "run_ended", "status": "interrupted", "seconds": 9.0}])
    text = write_report(other_folder).read_text()
    assert "> **This run was interrupted.**" in text
    assert re.search(
        r"> - Stage regularization has not ended: \d+ of 32 trials have; its winners are provisional\.", text
    )
    assert "> - Stage denoising was not started." in text
    assert "so the test set has not been opened" in text
    assert "**Provisional:** the stage has not ended." in text
    assert "No winner of a plain autoencoder has been retrained." in text
    assert "### Denoising" not in text


def test_a_data_set_without_a_winner_is_named_where_a_later_stage_left_it_out(
    events: Events, other_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)
    events = json.loads(json.dumps(plain(events)))
    for stage in ("regularization", "denoising"):
        events[0]["study"]["stages"][stage]["from"] = "architecture"
    later = ("regularization-mnist", "denoising-mnist", "retraining-mnist")
    events = [e for e in events if not e.get("trial", "").startswith(later) and e["kind"] != "pictures"]
    for event in events:
        if event["kind"] == "trial_ended" and event["trial"].startswith("architecture-mnist"):
            event["status"] = "failed"
    text = write_report(write_events(other_folder, events)).read_text()
    assert "> **Something is missing.**" in text
    for stage in ("regularization", "denoising"):
        assert f"> - Stage {stage} was not run on MNIST: stage architecture has no winner there." in text
    assert "was not run on Fashion-MNIST" not in text


def test_a_run_to_which_something_was_added_after_its_end_has_not_ended(
    events: Events, other_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)
    row = next(event for event in reversed(plain(events)) if event["kind"] == "row")
    write_events(other_folder, [*plain(events), row])
    assert "> **This run has not ended.**" in write_report(other_folder).read_text()


@pytest.mark.parametrize("is_taken_up", [True, False])
def test_an_extension_under_way_counts_what_had_ended_before_it(
    events: Events, other_folder: RunFolder, monkeypatch: pytest.MonkeyPatch, is_taken_up: bool
) -> None:
    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)
    mine = [event for event in plain(events) if event.get("stage") == "denoising"]
    created = [event for event in mine if event["kind"] == "trial_created"]
    added = [{"kind": "extended", "command": ["aesweep", "extend", "x"], "stages": {"denoising": {"samples": 4}}}]
    if is_taken_up:
        added.append({**mine[0], "kind": "stage_extended", "num_trials": len(created) + 1, "extension": 9})
        added.append({**created[0], "trial": "denoising-mnist-9999"})
    added.append({"kind": "run_ended", "status": "interrupted", "seconds": 1.0})
    text = write_report(write_events(other_folder, [*plain(events), *added])).read_text()
    total = len(created) + is_taken_up
    assert f"> - Stage denoising has not ended: {len(created)} of {total} trials have; its winners" in text
    assert "Stage architecture has not ended" not in text


def test_a_resumed_run_says_that_nothing_has_been_retrained_yet(events: Events, other_folder: RunFolder) -> None:
    end = {"kind": "run_ended", "status": "interrupted", "seconds": 9.0}
    resumed = {"kind": "resumed", "command": [], "environment": {}, "num_workers": 1, "unrecorded_seconds": 0.0}
    write_events(other_folder, [*plain(events[:1]), end, resumed])
    text = write_report(other_folder).read_text()
    assert "> **This run has not ended.**" in text and "so the test set has not been opened" in text


def test_a_hostile_command_stays_in_its_block(events: Events, other_folder: RunFolder) -> None:
    events = plain(events)
    events[0] = {**events[0], "command": ["aesweep", "run", "a\n```\n<script>x</script>\n````sh\n\n\n\nb'\\"]}
    text = write_report(write_events(other_folder, events[:1])).read_text()
    page = MarkdownIt("commonmark").enable("table").render(text)
    assert "<script" not in page and page.count("<pre>") == 1
    block = re.search(r"^`{5,}sh\n(.*)\n`{5,}$", text, flags=re.MULTILINE)
    said = subprocess.run(
        ["bash", "-c", f'set -- {block[1]}; printf %s "$3"'], capture_output=True, text=True, check=True
    )
    assert said.stdout == events[0]["command"][2]


def test_files_of_an_earlier_report_are_removed_and_others_stay(
    folder: RunFolder, other_folder: RunFolder, events: Events, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.png").touch()
    write_events(other_folder, plain(events[:1]))
    for part in (other_folder.figures, other_folder.tables):
        part.mkdir()
        for name in ("old.png", "old.svg", "old.csv", "notes.txt"):
            (part / name).touch()
    (other_folder.figures / "deeper").mkdir()
    (other_folder.figures / "deeper" / "kept.png").touch()
    (other_folder.root / "kept.png").touch()
    write_report(other_folder)
    assert {path.name for path in other_folder.figures.iterdir()} == {"old.csv", "notes.txt", "deeper"}
    written = {"trials.csv", "retrainings.csv", "account.csv", "failures.csv", "run.bib", "published-claims.tex"}
    assert {path.name for path in other_folder.tables.iterdir()} == {"old.png", "old.svg", "notes.txt", *written}
    assert (other_folder.root / "kept.png").exists() and (other_folder.figures / "deeper" / "kept.png").exists()
    shutil.rmtree(other_folder.figures)
    other_folder.figures.symlink_to(outside)
    write_report(other_folder)
    assert (outside / "kept.png").exists()


@pytest.mark.parametrize(
    "kind", ["run_started", "stage_started", "trial_created", "row", "retraining_created", "retrained"]
)
def test_a_run_killed_right_after_an_event_still_has_a_report(
    events: Events, other_folder: RunFolder, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)
    first = next(i for i, event in enumerate(events) if event["kind"] == kind)
    write_events(other_folder, plain(events[: first + 1]))
    assert "> **This run has not ended.**" in write_report(other_folder).read_text()


def test_a_stage_of_another_kind_has_a_table(other_folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)
    synthetic = Synthetic(reference=False)
    synthetic._start()
    synthetic._search("architecture", "validation_mse", {"rows": "learning_rate", "columns": "latent_dim"})
    synthetic._add("run_ended", status="completed", seconds=1.0)
    text = write_report(synthetic.write(other_folder.root)).read_text()
    header, *rows = table_after(text, "### Architecture")
    assert header[:4] == ["Learning rate", "Latent dimension", "Trials", "Training MSE"]
    assert len(rows) == 3 * 4 and rows[0][:2] == ["0.001", "15"]
    assert "## Published claims" not in text


def test_an_empty_journal_and_a_missing_one(other_folder: RunFolder) -> None:
    write_events(other_folder, [])
    assert "The journal holds no run yet." in write_report(other_folder).read_text()
    other_folder.journal.unlink()
    with pytest.raises(JournalError, match="cannot be read"):
        write_report(other_folder)
    with pytest.raises(RunFolderError, match="is not a run"):
        write_report(other_folder.root)


def test_pictures_that_are_missing_or_changed_are_left_out_and_named(
    folder: RunFolder, events: Events, other_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)
    write_events(other_folder, plain(events))
    shutil.copytree(folder.pictures, other_folder.pictures)
    (other_folder.pictures / "mnist-architecture.npz").unlink()
    changed = other_folder.pictures / "mnist-denoising.npz"
    changed.write_bytes(changed.read_bytes()[:-1])
    text = write_report(other_folder).read_text()
    for name in ("architecture", "denoising"):
        assert (
            f"> - `pictures/mnist-{name}.npz` is missing or not as it was recorded; its figures are left out." in text
        )
        assert f"(figures/mnist-{name}-pictures" not in text
    assert "(figures/fashion_mnist-denoising-pictures-0.04.png)" in text


def test_markup_in_names_and_reasons_is_inert(events: Events, other_folder: RunFolder) -> None:
    hostile = "x<img src=x onerror=alert(1)>|`**[a](http://example.org)$y"
    events = json.loads(json.dumps(plain(events)).replace("fashion_mnist", hostile))
    write_events(other_folder, events)
    text = write_report(other_folder).read_text()
    page = MarkdownIt("commonmark").enable("table").render(text)
    assert "<img src=x" not in page and "<script" not in page and 'href="http' not in page
    assert "<h2>x&lt;img src=x onerror=alert(1)&gt;|`**[a](http:" in page
    assert page.count("<table>") == 2 * 7 + 4
    assert {path.parent for path in other_folder.root.rglob("*.png")} == {other_folder.figures}


def test_the_page_is_well_formed_markdown(report: str) -> None:
    page = MarkdownIt("commonmark").enable("table").render(report)
    assert page.count("<img ") == 2 * 12
    # For each data set six tables of results; then claims, cost, failures and how to reproduce.
    assert page.count("<table>") == 2 * 7 + 4
    assert "<p>|" not in page and "**" not in re.sub(r"<code>.*?</code>", "", page)

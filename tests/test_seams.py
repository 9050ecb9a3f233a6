"""What is added as docs/ARCHITECTURE.md says needs a module of its own and a line in a list, and nothing else."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from aesweep.export import registry as formats
from aesweep.export.exporter import Exported, Steps
from aesweep.export.follow import export
from aesweep.report.page import write_report
from aesweep.report.sections import registry
from aesweep.report.sections.section import DatasetView, Section
from aesweep.report.text.table import Table
from aesweep.results import LoadedRun
from aesweep.run.callbacks.callback import Callback
from aesweep.run.driver import Run
from aesweep.run.settings import RunSettings
from aesweep.search.samplers import registry as samplers
from aesweep.search.samplers.slot import Template
from aesweep.storage.event import Event
from aesweep.storage.events import Row
from aesweep.storage.journal import Journal, read_journal
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from tests.report.synthetic import Synthetic
from tests.search.toy_cluster import interruption, toy, toy_images, toy_study  # noqa: F401 - fixtures


def num_parameters_section(view: DatasetView) -> Section:
    """A section with one table: how many hidden layers the winner of each stage has."""
    rows = [[label, str(len(trial.configuration.hidden_layers))] for label, trial in view.configurations]
    frame = pd.DataFrame(rows, columns=["winner", "num_hidden_layers"])
    return Section("Depth", tables=[Table(["Winner", "Hidden layers"], rows)], frames={f"{view.dataset}-depth": frame})


def test_section_of_ones_own_needs_a_line_in_the_registry(tmp_path, monkeypatch):
    folder = RunFolder.create(tmp_path, "run")
    with Journal(folder.journal) as journal:
        for event in Synthetic().build().events:
            journal.append(event["kind"], **{name: value for name, value in event.items() if name != "kind"})
    monkeypatch.setattr(
        "aesweep.report.sections.contents.encoded",
        lambda *_: b'<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt" viewBox="0 0 1 1"/>',
    )
    before = write_report(folder).read_text()
    registry.DATASET_SECTIONS.append(num_parameters_section)
    try:
        after = write_report(folder).read_text()
    finally:
        registry.DATASET_SECTIONS.remove(num_parameters_section)
    parts = after.split("### Depth\n")
    assert len(parts) == 3 and all("| Winner" in part for part in parts[1:])
    # The rest of the page is as it was.
    assert parts[0] + "".join(part[part.index("\n#") + 1 :] for part in parts[1:]) == before
    assert list(pd.read_csv(folder.tables / "mnist-depth.csv")) == ["winner", "num_hidden_layers"]


class Corners:
    """A sampler that proposes the lower ends of the drawn axes, then the middle, then the upper ends."""

    learns = False

    def __init__(self, stage, base, seed):
        self._template = Template(stage.space, base)

    def suggest(self, slot, known):
        return self._template.complete(slot, lambda name, axis: axis.at((0.0, 0.5, 0.999)[slot.sample % 3]))


def test_sampler_of_ones_own_needs_a_line_in_the_registry(study, images, tmp_path, monkeypatch):
    monkeypatch.setitem(samplers.SAMPLERS, "quasi_random", Corners)
    folder = RunFolder.create(tmp_path, "run")
    Run(study, folder, images, RunState(), RunSettings(1), interruption).execute(["aesweep"])
    events = read_journal(folder.journal)
    created = [event for event in events if event["kind"] == "trial_created" and event["stage"] == "architecture"]
    by_cell: dict[str, list[float]] = {}
    for event in created:
        by_cell.setdefault(str(event["cell"]), []).append(event["configuration"]["learning_rate"])
    assert len(by_cell) == 4
    assert all(rates == pytest.approx([0.001, 0.001 * 10**0.5, 0.01], rel=0.01) for rates in by_cell.values())
    assert events[-1]["status"] == "completed"
    # A resumed run asks the sampler again, and derives the same trials.
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    state = RunState(read_journal(folder.journal))
    assert Run(study, folder, images, state, RunSettings(1), interruption).resume(["aesweep"]).status == "completed"


class RowsToCsv(Callback):
    """An exporter: each row of the journal as a line of a CSV file."""

    def __init__(self, path: Path):
        self._path = path

    def follow(self, event: Event) -> None:
        if isinstance(event, Row):
            with open(self._path, "a", newline="") as file:
                csv.writer(file).writerow([event.trial, event.epoch, event.training_mse])


def test_exporter_of_ones_own_hears_of_every_row_in_its_order(study, images, tmp_path):
    folder = RunFolder.create(tmp_path, "run")
    exporter = RowsToCsv(tmp_path / "rows.csv")
    Run(study, folder, images, RunState(), RunSettings(1), interruption, callbacks=[exporter]).execute(["aesweep"])
    rows = [event for event in read_journal(folder.journal) if event["kind"] == "row"]
    with open(tmp_path / "rows.csv", newline="") as file:
        assert list(csv.reader(file)) == [[row["trial"], str(row["epoch"]), str(row["training_mse"])] for row in rows]
    assert len(rows) > 20


def test_what_an_exporter_raises_ends_the_run_with_everything_recorded(study, images, tmp_path):
    folder = RunFolder.create(tmp_path, "run")
    exporter = RowsToCsv(tmp_path / "no such folder" / "rows.csv")
    run = Run(study, folder, images, RunState(), RunSettings(1), interruption, callbacks=[exporter])
    with pytest.raises(FileNotFoundError):
        run.execute(["aesweep"])
    assert read_journal(folder.journal)[-1]["kind"] == "row"


class RowsToText:
    """A format: the number of rows, in a file."""

    def __init__(self, output: Path):
        self._output = output

    def write(self, run: LoadedRun, steps: Steps) -> Exported:
        self._output.mkdir(parents=True, exist_ok=True)
        (self._output / "rows.txt").write_text(str(len(run.rows)))
        return Exported(self._output / "rows.txt", len(run.trials), len(run.rows))


def test_format_of_ones_own_needs_a_line_in_the_registry(tmp_path, monkeypatch):
    folder = Synthetic().build().write(tmp_path / "run")
    monkeypatch.setitem(formats.FORMATS, "text", formats.Format("cat", (), "cat {place}", RowsToText))
    path = tmp_path / "out"
    _, exported = export(folder.root, formats.exporter_of("text", path), Silent())
    assert (path / "rows.txt").read_text() == str(exported.num_rows) and exported.num_rows > 1000


class Silent:
    """Steps that nobody sees."""

    def begin(self, title: str, total: int) -> None:
        pass

    def advance(self, count: int = 1) -> None:
        pass

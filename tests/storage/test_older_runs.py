"""Runs that older versions recorded are read, resumed to their end, and reported.

`recorded/commit-5b10079` holds a run of that commit, killed while it retrained, and the journal of the same study when
nothing disturbed it. Commits before it wrote the same events; what is new since then is left out where it is not used.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

import aesweep.run.driver
from aesweep.data.datasets import load_dataset
from aesweep.run.callbacks.callback import Callback
from aesweep.run.driver import Run
from aesweep.run.session import write_report
from aesweep.run.settings import RunSettings
from aesweep.search.replay import missing, recorded_study
from aesweep.search.stages import opening_events, segments
from aesweep.search.winners import winner_events
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.training.checkpoints.model_file import read_checkpoint
from aesweep.training.single_trial import fit
from tests.search.toy_cluster import Interrupted, ToyCluster

OLD = Path(__file__).parent / "recorded" / "commit-5b10079"


class Cluster(ToyCluster):
    """Trains one trial after another in this process, for real."""

    def __init__(self, images, files, *rest):
        super().__init__(images, files, *rest)
        self._images = images

    def train(self, queue, *, recorder, resources, stop_requested):
        for spec in queue:
            for row in fit(spec, self._images[spec.dataset], self._files):
                if not recorder.take(spec, row, seconds=0.1):
                    break


class Seen(Callback):
    """The events of the session."""

    def __init__(self):
        self.events = []

    def follow(self, event):
        self.events.append(event)


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    shutil.copytree(OLD / "interrupted", tmp_path / "old")
    return RunFolder.open(tmp_path / "old")


def test_what_an_older_version_derived_is_derived_again(folder):
    finished = RunState.read(OLD / "finished.jsonl")
    for state in (RunState.read(folder.journal), finished):
        study = recorded_study(state, folder.journal)
        for name, stage in study.stages.items():
            opening = opening_events(segments(study, state, name))
            assert list(missing(opening, state.events, folder.journal)) == []
            winners = winner_events(state, name, stage.mode, [dataset.name for dataset in study.datasets])
            assert list(missing(winners, state.events, folder.journal)) == []


def test_its_checkpoints_are_read(folder):
    for path in folder.checkpoints.iterdir():
        module, metadata = read_checkpoint(path)
        assert metadata.configuration.family == "dense"
        assert sum(parameter.numel() for parameter in module.parameters()) > 0


def test_it_goes_on_to_the_end_that_the_older_version_came_to(folder, monkeypatch):
    monkeypatch.setattr(aesweep.run.driver, "Cluster", Cluster)
    state = RunState.read(folder.journal)
    study, seen = recorded_study(state, folder.journal), Seen()
    images = {"digits": load_dataset("digits")}
    outcome = Run(study, folder, images, state, RunSettings(1), Interrupted(), callbacks=[seen]).resume(["aesweep"])
    assert (outcome.status, outcome.missing, outcome.failed_trials) == ("completed", [], [])
    continued = [event for event in seen.events if event.kind == "continued"]
    assert continued and max(event.epoch for event in continued) > 10 and not any(event.rejected for event in continued)
    rows, ends = ({}, {}), ({}, {})
    for index, found in enumerate((RunState.read(OLD / "finished.jsonl"), RunState.read(folder.journal))):
        for event in found.events:
            if event.kind == "row":
                rows[index][event.trial, event.epoch] = event
            elif event.kind == "retrained":
                ends[index][event.trial] = event
    assert rows[0].keys() == rows[1].keys() and ends[0].keys() == ends[1].keys()
    for key, old in rows[0].items():
        for name in ("loss", "training_mse", "validation_mse"):
            values = getattr(old, name), getattr(rows[1][key], name)
            # Another processor adds in another order.
            assert values[0] == values[1] or math.isclose(*values, rel_tol=1e-3), (key, name, values)
    for trial, old in ends[0].items():
        assert ends[1][trial].test_mse == pytest.approx(old.test_mse, rel=1e-3)
        assert ends[1][trial].test_rate_nats is None
    text = write_report(folder).read_text()
    assert "### Denoising" in text and "### Winners on the full data" in text
    assert "has not ended" not in text and "family" not in text.lower()

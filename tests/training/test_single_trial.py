"""A trial that trains alone in its process: its rows in bundles, each of them once and in order."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from aesweep.storage.artifacts import FolderFiles
from aesweep.storage.run_folder import state_files
from aesweep.training.pack_pool import Packs
from aesweep.training.single_trial import fit, fit_in_bundles
from tests.tiny_jobs import BASE, tiny_job

EPOCHS = 12
LONG_S = 1000.0


def numbers(rows) -> list[dict]:
    left_out = ("seconds", "held_seconds", "is_awaited")
    return [{name: value for name, value in dataclasses.asdict(row).items() if name not in left_out} for row in rows]


def epochs(bundles) -> list[list[int]]:
    return [[row.epoch for row in rows] for rows in bundles]


@pytest.mark.parametrize("interval_s", [0.0, 0.01, LONG_S])
def test_bundles_hold_the_rows_of_a_trial_each_once_and_in_order(images, interval_s):
    spec = tiny_job(epochs=EPOCHS, rungs=(3,))
    bundles = list(fit_in_bundles(spec, images, interval_s=interval_s))
    assert numbers(itertools.chain.from_iterable(bundles)) == numbers(fit(spec, images))


def test_bundle_ends_at_a_rung_and_at_the_last_epoch(images):
    spec = tiny_job(epochs=EPOCHS, rungs=(1, 5))
    found = epochs(fit_in_bundles(spec, images, interval_s=LONG_S))
    assert found == [[1], [2, 3, 4, 5], [6, 7, 8, 9, 10, 11, 12]]


def test_bundle_ends_where_a_training_diverges(images):
    spec = tiny_job(0, dataclasses.replace(BASE, output="linear", schedule="constant", learning_rate=1e30), epochs=9)
    (rows,) = fit_in_bundles(spec, images, interval_s=LONG_S)
    assert rows[-1].diverged and rows[-1].epoch < 9


def test_state_is_written_as_soon_as_its_row_is_recorded_and_not_before(images, tmp_path):
    spec = tiny_job(epochs=EPOCHS, rungs=(4, 8), states="states", state_interval_s=LONG_S)
    kept = []
    for rows in fit_in_bundles(spec, images, FolderFiles(tmp_path), interval_s=LONG_S):
        kept.append((rows[-1].epoch, [epoch for epoch, _ in state_files(tmp_path / "states", spec.trial)]))
    assert kept == [(4, []), (8, [4]), (12, [8, 4])]


def test_rows_do_not_wait_where_every_epoch_keeps_a_state_as_before_a_machine_is_taken_away(images, tmp_path):
    spec = tiny_job(epochs=EPOCHS, states="states", state_interval_s=0.0)
    found = epochs(fit_in_bundles(spec, images, FolderFiles(tmp_path), interval_s=LONG_S))
    assert found == [[epoch] for epoch in range(1, EPOCHS + 1)]


def test_rows_before_what_a_training_breaks_at_are_given_first(images, monkeypatch):
    train, spec = Packs.train_epoch, tiny_job(epochs=EPOCHS)

    def break_at_the_fifth(self, *arguments):
        ((packed, row),) = train(self, *arguments)
        return [(packed, MemoryError("no room") if row.epoch == 5 else row)]

    monkeypatch.setattr(Packs, "train_epoch", break_at_the_fifth)
    bundles = fit_in_bundles(spec, images, interval_s=LONG_S)
    assert [row.epoch for row in next(bundles)] == [1, 2, 3, 4]
    with pytest.raises(MemoryError, match="no room"):
        next(bundles)

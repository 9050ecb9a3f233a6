"""A training goes on from the states of its members to the numbers that it would have had, and from nothing damaged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.artifacts import FolderFiles
from aesweep.storage.run_folder import state_files, state_name
from aesweep.study.configuration import Configuration
from aesweep.training.checkpoints.state_file import DECISIVE, FOLDER, newest_members, write_members
from aesweep.training.single_trial import fit
from tests.tiny_jobs import tiny_job

EPOCHS = 6


CONFIGURATION = Configuration(
    hidden_layers=(8,), latent_dim=3, batch_size=16, dropout=0.2, regularizer="dropout", noise_variance=0.1
)


def job_in(folder, purpose="search", seeds=(1, 2), **fields) -> TrialSpec:
    kept = {"checkpoint": str(folder / "model.safetensors"), "states": str(folder / "states"), "state_interval_s": 0.0}
    return tiny_job(0, CONFIGURATION, **{"purpose": purpose, "seeds": seeds, "epochs": EPOCHS, **kept, **fields})


def numbers(rows) -> list[dict]:
    left_out = ("seconds", "held_seconds", "continued_from", "rejected", "checkpoint", "is_awaited")
    return [
        {name: value for name, value in dataclasses.asdict(row).items() if name not in left_out}
        | {"model": (row.checkpoint or {}).get("sha256")}
        for row in rows
    ]


def killed_after(spec, images, epoch, files=FOLDER) -> list[dict]:
    """Rows of a training whose process ends when so many rows are recorded, and the next epoch's state is begun."""
    rows = []
    for row in fit(spec, images, files):
        rows.append(row)
        if row.epoch == epoch + 1:
            return rows[:-1]
    return rows


@pytest.mark.parametrize("purpose", ["search", "retraining"])
@pytest.mark.parametrize("epoch", range(1, EPOCHS))
def test_training_that_goes_on_gives_the_rows_that_it_would_have_given(tmp_path, images, purpose, epoch):
    seeds = (1, 2) if purpose == "search" else (1,)
    spec = job_in(Path(), purpose, seeds)
    whole = numbers(fit(dataclasses.replace(spec, states=None), images, FolderFiles(tmp_path / "whole")))
    killed = FolderFiles(tmp_path / "killed")
    before = killed_after(spec, images, epoch, killed)
    after = list(fit(dataclasses.replace(spec, recorded=epoch), images, killed))
    assert (after[0].continued_from, after[0].rejected) == (epoch, [])
    assert numbers(before) + numbers(after) == whole


def test_two_newest_states_are_kept_and_none_of_the_last_epoch(tmp_path, images):
    spec = job_in(tmp_path)
    list(fit(spec, images))
    assert [epoch for epoch, _ in state_files(tmp_path / "states", spec.trial)] == [EPOCHS - 1, EPOCHS - 2]


def test_quick_training_writes_no_state(tmp_path, images):
    list(fit(job_in(tmp_path, state_interval_s=30.0), images))
    assert not (tmp_path / "states").exists()


def test_state_is_kept_at_rungs_however_quick_the_training(tmp_path, images):
    spec = job_in(tmp_path, state_interval_s=30.0, rungs=(1, 3))
    rows = fit(spec, images, FolderFiles(tmp_path))
    kept = []
    for _ in range(EPOCHS):
        next(rows)
        kept.append([epoch for epoch, _ in state_files(tmp_path / "states", spec.trial)])
    # Of an epoch once its row is taken, that is when the next one is asked for.
    assert kept == [[], [1], [1], [3, 1], [3, 1], [3, 1]]


def test_state_is_not_written_before_its_row_is_taken(tmp_path, images):
    spec = job_in(tmp_path)
    rows = fit(spec, images)
    for epoch in range(1, EPOCHS + 1):
        assert next(rows).epoch == epoch
        assert all(found < epoch for found, _ in state_files(tmp_path / "states", spec.trial))


def test_state_ahead_of_the_record_is_left_alone_and_goes_when_the_next_is_written(tmp_path, images):
    spec = job_in(tmp_path)
    killed_after(spec, images, 4)
    found = newest_members(dataclasses.replace(spec, recorded=2), images.sha256)
    assert (found.epoch, found.states, found.rejected) == (0, {}, [])
    killed_after(dataclasses.replace(spec, recorded=2), images, 1)
    assert [epoch for epoch, _ in state_files(tmp_path / "states", spec.trial)] == [1]


DAMAGES = {
    "emptied": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "cut in the header": lambda content: content[:40],
    "bit in a tensor": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "bit in the header": lambda content: content.replace(b'\\"epoch\\": 4', b'\\"epoch\\": 5'),
    "a pickle": lambda content: b"\x80\x04\x95\x10" + bytes(100),
    "huge header": lambda content: (2**62).to_bytes(8, "little") + content[8:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_newest_state_is_passed_over_for_the_one_before_and_said(tmp_path, images, damage):
    spec = job_in(tmp_path)
    whole = numbers(fit(job_in(tmp_path / "whole"), images))
    killed_after(spec, images, 4)
    path = tmp_path / "states" / state_name(spec.trial, 4)
    content = path.read_bytes()
    path.write_bytes(DAMAGES[damage](content))
    assert path.read_bytes() != content
    rows = list(fit(dataclasses.replace(spec, recorded=4), images))
    assert rows[0].continued_from == 3
    (reason,) = rows[0].rejected
    assert path.name in reason and len(reason.splitlines()) == 1
    assert numbers(rows) == whole[3:]


def test_training_starts_afresh_where_every_state_is_damaged(tmp_path, images):
    spec = job_in(tmp_path)
    killed_after(spec, images, 4)
    for _, path in state_files(tmp_path / "states", spec.trial):
        path.write_bytes(b"damaged")
    found = newest_members(dataclasses.replace(spec, recorded=4), images.sha256)
    assert (found.epoch, found.states, len(found.rejected)) == (0, {}, 2)


@pytest.mark.parametrize("field", ["images", "epochs", "split_seed", "configuration", "seeds", "trial"])
def test_state_of_another_training_is_passed_over(tmp_path, images, field):
    spec = job_in(tmp_path)
    killed_after(spec, images, 3)
    changes = {
        "epochs": EPOCHS + 1,
        "split_seed": 7,
        "configuration": dataclasses.replace(spec.configuration, learning_rate=0.5),
        "seeds": (1, 3),
        "trial": "stage-tiny-0001",
    }
    other = dataclasses.replace(spec, recorded=3, **({} if field == "images" else {field: changes[field]}))
    if field == "trial":
        states = tmp_path / "states"
        (states / state_name(spec.trial, 3)).rename(states / state_name(other.trial, 3))
    found = newest_members(other, "0" * 64 if field == "images" else images.sha256)
    assert found.epoch == 0
    assert "another training" in found.rejected[0]


def test_what_does_not_decide_the_numbers_bars_no_state(tmp_path, images):
    """Such as where a trial competes: versions that knew no bracket and no audit wrote states that are still of use."""
    spec = job_in(tmp_path)
    killed_after(spec, images, 4)
    other = dataclasses.replace(spec, recorded=4, bracket=1, is_drawn=True, rungs=(1,), cell=(("latent_dim", 3),))
    found = newest_members(other, images.sha256)
    assert found.epoch == 4 and found.rejected == []


def test_every_field_of_a_trial_is_known_to_decide_its_numbers_or_not():
    others = {"cell", "bracket", "is_drawn", "checkpoint", "states", "state_interval_s", "rungs", "recorded"}
    apart = {"configuration", "seeds"}  # by their hash, and as a list
    assert {field.name for field in dataclasses.fields(TrialSpec)} == {*DECISIVE} | others | apart


def test_state_is_read_back_bit_for_bit(tmp_path, images):
    spec = job_in(tmp_path)
    killed_after(spec, images, 3)
    first = newest_members(dataclasses.replace(spec, recorded=3), images.sha256)
    again = dataclasses.replace(spec, states=str(tmp_path / "again"), recorded=3)
    write_members(again, images.sha256, 3, first.states)
    second = newest_members(again, images.sha256)
    for seed in spec.seeds:
        one, other = first.states[seed], second.states[seed]
        assert (one.step, one.epoch) == (other.step, other.epoch) == (3 * 3, 3)
        for name in ("parameters", "moment1", "moment2"):
            assert torch.equal(getattr(one, name), getattr(other, name))
    paths = [tmp_path / part / state_name(spec.trial, 3) for part in ("states", "again")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_folder_that_cannot_be_written_costs_no_trial(tmp_path, images):
    (tmp_path / "states").write_text("a file where the folder should be")
    assert len(list(fit(job_in(tmp_path), images))) == EPOCHS

"""A run that was brought home is checked against its own journal."""

from __future__ import annotations

import hashlib

import pytest

from aesweep.process.errors import AesweepError, RunFolderError
from aesweep.storage.journal import Journal
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.verification import check_run


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    """A run with one checkpoint and one picture."""
    folder = RunFolder.create(tmp_path, "run")
    with Journal(folder.journal) as journal:
        for kind, name in (("retrained", "checkpoints/a.safetensors"), ("pictures", "pictures/a.npz")):
            (folder.root / name).write_bytes(name.encode())
            found = {"file": name, "sha256": hashlib.sha256(name.encode()).hexdigest()}
            if kind == "retrained":
                journal.append("retraining_created", trial="a")
                journal.append(kind, trial="a", checkpoint=found)
            else:
                journal.append(kind, dataset="digits", stage="stage", purpose="denoising", **found)
    return folder


def test_whole_run_is_whole(folder):
    assert check_run(folder.root) == 2


@pytest.mark.parametrize("name", ["checkpoints/a.safetensors", "pictures/a.npz"])
def test_damaged_file_is_told_and_removed_so_that_it_is_brought_again(folder, name):
    path = folder.root / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AesweepError, match=f"{name} was damaged, and removed: fetch the run again"):
        check_run(folder.root)
    with pytest.raises(AesweepError, match=f"{name} is missing"):
        check_run(folder.root)


def test_model_of_a_cells_winner_is_looked_for_and_that_of_a_loser_is_not(folder):
    cell = {"stage": "stage", "dataset": "digits", "cell": {"latent_dim": 4}}
    with Journal(folder.journal) as journal:
        for trial in ("b", "c"):
            journal.append("trial_created", trial=trial, stage="stage")
            found = {"file": f"checkpoints/{trial}-best.safetensors", "sha256": hashlib.sha256(b"model").hexdigest()}
            journal.append("row", trial=trial, epoch=1, checkpoint=found)
        journal.append("cell_winner", trial="b", **cell)
        journal.append("cell_winner", trial="c", **cell)  # after an extension
    with pytest.raises(AesweepError, match=r"checkpoints/c-best\.safetensors is missing: fetch"):
        check_run(folder.root)
    (folder.checkpoints / "c-best.safetensors").write_bytes(b"model")
    assert check_run(folder.root) == 3
    (folder.checkpoints / "c-best.safetensors").unlink()
    with Journal(folder.journal) as journal:
        journal.append("model_lost", trial="c", reason="it is gone")
    assert check_run(folder.root) == 2


def test_folder_without_a_journal_is_no_run(tmp_path):
    with pytest.raises(RunFolderError, match="is not a run"):
        check_run(tmp_path)

"""The commands as a user types them: exit codes, what goes where, and no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from aesweep.cli.commands import commands
from aesweep.storage.journal import Journal
from aesweep.storage.run_folder import RunFolder
from aesweep.study.study_file import load_study


def call(*arguments: object):
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


def test_help_names_every_command():
    text = call("--help").stdout
    names = ("plan", "run", "resume", "report", "retrain", "extend", "status", "reconstruct", "data")
    assert all(name in text for name in names)


def test_unknown_option_is_a_usage_error():
    assert call("run", "--speed").exit_code == 2


def test_faulty_study_exits_with_78_and_names_the_key(small_study, write_study):
    small_study["stages"]["architecture"]["epochs"] = -1
    done = call("run", write_study(small_study))
    assert done.exit_code == 78
    assert "stages.architecture.epochs" in done.stderr
    assert done.stdout == ""


def test_missing_data_exits_with_65_before_a_run_folder_appears(small_study, write_study, tmp_path):
    small_study["datasets"] = ["mnist"]
    done = call("run", write_study(small_study), "--data-dir", tmp_path, "--runs", tmp_path / "runs")
    assert done.exit_code == 65
    assert str(tmp_path) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("cut", [0, 3, 15, 16, 1000])
def test_truncated_data_file_exits_with_65_and_names_it(small_study, write_study, tmp_path, cut):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    whole = (0x803).to_bytes(4, "big") + (60_000).to_bytes(4, "big") + 2 * (28).to_bytes(4, "big") + bytes(2000)
    (raw / "train-images-idx3-ubyte").write_bytes(whole[:cut])
    (raw / "t10k-images-idx3-ubyte").write_bytes(b"")
    small_study["datasets"] = ["mnist"]
    done = call("plan", write_study(small_study), "--data-dir", tmp_path)
    assert done.exit_code == 65
    assert "train-images-idx3-ubyte" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_stage_that_asks_for_more_images_than_there_are_exits_with_78(small_study, write_study):
    small_study["stages"]["architecture"].update(training_images=1294, validation_images=145)
    done = call("plan", write_study(small_study))
    assert done.exit_code == 78
    assert "stages.architecture.training_images: digits has 1,293 of them, got 1,294" in done.stderr
    assert "stages.architecture.validation_images: digits has 144 of them, got 145" in done.stderr


def test_existing_run_exits_with_73(small_study, write_study, tmp_path):
    with Journal(RunFolder.create(tmp_path / "runs", "small").journal) as journal:
        journal.append("run_started")
    done = call("run", write_study(small_study), "--runs", tmp_path / "runs")
    assert done.exit_code == 73
    assert "exists already" in done.stderr and "aesweep resume" in done.stderr


@pytest.mark.parametrize("name", ["../out", ".hidden", "a/b", "x" * 65])
def test_run_name_that_is_no_plain_name_exits_with_73(small_study, write_study, tmp_path, name):
    done = call("run", write_study(small_study), "--runs", tmp_path / "runs", "--name", name)
    assert done.exit_code == 73
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["report", "status", "retrain", "resume"])
def test_folder_that_is_no_run_exits_with_73(tmp_path, command):
    done = call(command, tmp_path)
    assert done.exit_code == 73
    assert "is not a run" in done.stderr


@pytest.mark.parametrize("command", ["report", "status", "retrain", "resume"])
def test_damaged_journal_exits_with_65(tmp_path, command):
    (tmp_path / "journal.jsonl").write_text("no record\n")
    done = call(command, tmp_path)
    assert done.exit_code == 65
    assert "line 1" in done.stderr


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95no tensors", b"{}" * 50])
def test_damaged_checkpoint_exits_with_65(tmp_path, content):
    path = tmp_path / "winner.safetensors"
    path.write_bytes(content)
    done = call("reconstruct", path, tmp_path / "image.png", "--output", tmp_path / "out")
    assert done.exit_code == 65
    assert str(path) in done.stderr


def test_status_of_an_empty_journal_is_plain(tmp_path):
    Journal(tmp_path / "journal.jsonl").close()
    assert json.loads(call("status", tmp_path, "--json").stdout)["status"] == "empty"


def test_plan_shows_stages_and_retraining_for_people_and_scripts(small_study, write_study):
    path = write_study(small_study)
    assert "architecture" in call("plan", path).stdout
    values = json.loads(call("run", path, "--dry-run", "--json").stdout)
    architecture, regularization = values["stages"]
    assert (architecture["num_trials"], architecture["num_cells"], architecture["rungs"]) == (12, 4, [1, 3])
    assert architecture["epochs_without_stopping"] == 12 * 9
    # In each of 4 cells: 3 trials for 1 epoch, 1 for 2 more, 1 for 6 more.
    assert architecture["epochs_expected"] == 4 * (3 + 2 + 6)
    assert regularization["num_trials"] == 5
    assert values["retraining"]["num_trainings"] == 4
    assert values["seconds"] > 0
    # 64-32-16-8-16-32-64: the largest model of the grid, in fp32; two states of three tensors for each worker.
    parameters = (64 * 32 + 32) + (32 * 16 + 16) + (16 * 8 + 8) + (8 * 16 + 16) + (16 * 32 + 32) + (32 * 64 + 64)
    assert architecture["state_bytes"] == 4 * parameters * 3 * 2 * values["num_workers"]
    assert 4 * parameters < architecture["checkpoint_bytes"] < 4 * 4 * parameters  # a model for each of four cells
    assert 0 < values["retraining"]["checkpoint_bytes"] <= 4 * 4 * parameters


def test_file_where_a_folder_should_be_is_one_line_and_no_traceback(small_study, write_study, tmp_path):
    (tmp_path / "runs").write_text("")
    done = call("run", write_study(small_study), "--runs", tmp_path / "runs")
    assert done.exit_code == 73
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.ray
def test_more_gpus_than_there_are_is_told_instead_of_waited_for(small_study, write_study, tmp_path):
    small_study["resources"] = {"gpus_per_trial": 64}
    done = call("run", write_study(small_study), "--runs", tmp_path / "runs", "--quiet")
    assert done.exit_code == 1
    assert "resources.gpus_per_trial: 64 asked for, but no node has more than" in done.stderr


def test_plan_leaves_the_arithmetic_of_its_caller_alone(small_study, write_study):
    call("plan", write_study(small_study))
    assert 2.0**-1060 > 0
    assert float(np.float64(2.0**-1030) / 4) > 0


def test_installed_command_reports_its_version():
    done = subprocess.run(
        [sys.executable, "-m", "aesweep.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert "aesweep" in done.stdout


def test_resume_of_a_journal_without_a_beginning_exits_with_65(tmp_path):
    Journal(tmp_path / "journal.jsonl").close()
    done = call("resume", tmp_path)
    assert done.exit_code == 65
    assert "nothing was recorded yet" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_resume_with_other_images_exits_with_65_and_names_them(small_study, write_study, tmp_path):
    study = load_study(write_study(small_study))
    with Journal(tmp_path / "journal.jsonl") as journal:
        datasets = {"digits": {"sha256": "0" * 64}}
        journal.append("run_started", study=study.resolved(), study_hash=study.sha256(), datasets=datasets)
    before = (tmp_path / "journal.jsonl").read_bytes()
    done = call("resume", tmp_path, "--quiet")
    assert done.exit_code == 65
    assert "data set digits: sha256 is" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_second_driver_exits_with_73_and_names_the_first(tmp_path):
    Journal(tmp_path / "journal.jsonl").close()
    with RunFolder(tmp_path).one_writer():
        done = call("resume", tmp_path)
    assert done.exit_code == 73
    assert f"process {os.getpid()}" in done.stderr


def test_plan_wants_the_reference_and_says_what_it_leaves_out_and_assumes(small_study, write_study, tmp_path):
    path = write_study(small_study)
    text = call("plan", path).stdout
    assert "not counted" in text and "Ray's start" in text and "baselines" in text
    assert "regularization starts from the winner of architecture, which is not known yet" in text
    assert "(assumed)" in text and text.count("(assumed)") < text.count("| architecture")
    values = json.loads(call("plan", path, "--json").stdout)
    assert [stage["assumed_from"] for stage in values["stages"]] == [None, "architecture"]
    small_study["report"] = {"reference": "missing.yaml"}
    for command in ("plan", "run"):
        done = call(command, write_study(small_study), *(["--dry-run"] if command == "run" else []))
        assert done.exit_code == 78 and "missing.yaml: cannot be read" in done.stderr


def test_plan_counts_trials_of_a_sampler_that_learns_and_says_what_it_cannot_know(small_study, write_study):
    small_study["stages"]["architecture"].update(sampler="tpe", samples=5)
    small_study["stages"]["regularization"].update(sampler="tpe", asha="none")
    text = call("plan", path := write_study(small_study)).stdout
    assert "architecture: what its sampler will choose depends on what its trials measure" in text
    first, second = json.loads(call("plan", path, "--json").stdout)["stages"]
    assert first["learns"] and second["learns"]
    assert (first["num_trials"], first["num_cells"], first["epochs_without_stopping"]) == (20, 4, 180)
    # One trial without a regularizer, where nothing is drawn, and two with each of the others; none is stopped.
    assert (second["num_trials"], second["rungs"]) == (5, [])
    assert second["epochs_expected"] == second["epochs_without_stopping"] == 15


def test_every_model_that_a_sampler_may_choose_is_checked_before_a_run(small_study, write_study):
    channels = {"choice": [[4], [4, 4, 4, 4, 4, 4, 4]]}  # the second has more stages than 8 x 8 images
    space = {"family": "convolutional", "channels": channels, "latent_dim": {"grid": [2, 4]}}
    small_study["stages"] = {
        "architecture": {"space": space, "table": {"rows": "latent_dim"}, "epochs": 2, "sampler": "tpe"}
    }
    done = call("plan", write_study(small_study))
    assert done.exit_code == 78 and "by channels [4, 4, 4, 4, 4, 4, 4]" in done.stderr


def test_settings_of_a_submitted_run_that_goes_on_are_refused(small_study, write_study):
    done = call("submit", write_study(small_study), "--resume", "--set", "seed=2")
    assert done.exit_code == 2 and "--set cannot change a run that was begun before" in done.stderr


def test_data_push_has_the_option_that_it_advises(tmp_path):
    done = call("data", "push", "mnist", "--to", tmp_path / "to", "--data-dir", tmp_path / "none")
    assert done.exit_code == 65
    advised = [word for word in done.stderr.replace(",", " ").split() if word.startswith("--")]
    assert advised and all(option in call("data", "push", "--help").stdout for option in advised)


def test_error_of_a_storage_names_it_once(monkeypatch, tmp_path):
    def refuse(*_):
        raise OSError(5, "s3://bucket/runs: access denied")

    monkeypatch.setattr("aesweep.storage.replica.read_segments", refuse)
    done = call("fetch", "run", "--from", tmp_path / "kept", "--runs", tmp_path / "runs")
    assert (done.exit_code, done.stderr) == (73, "error: s3://bucket/runs: access denied\n")


def test_folder_in_place_of_an_image_is_called_one(tmp_path):
    from aesweep.data.image_data import DataError
    from aesweep.data.image_folder import read_image

    with pytest.raises(DataError, match="is a folder, expected an image file"):
        read_image(tmp_path, (1, 8, 8))


def test_status_says_how_a_run_goes_on(small_study, write_study, tmp_path):
    study = load_study(write_study(small_study))
    with Journal(tmp_path / "journal.jsonl") as journal:
        options = {"storage": "s3://bucket/my runs", "workers": 2}
        journal.append("run_started", study=study.resolved(), command=["aesweep"], options=options)
    expected = f"aesweep resume {tmp_path} --storage 's3://bucket/my runs' --workers 2"
    assert call("status", tmp_path).stdout.splitlines()[-1].endswith(f"it goes on with: {expected}")
    assert json.loads(call("status", tmp_path, "--json").stdout)["goes_on_with"] == expected

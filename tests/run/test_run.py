"""A whole run through the real Ray: what it leaves, and that it is the same every time."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import nn, no_grad, tensor

from aesweep.search.schedulers.asha import Asha
from aesweep.storage.journal import read_journal
from tests.conftest import DENOISING_STAGE, SMALL_STUDY

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def study_file(folder: Path, **changes) -> Path:
    values = {**SMALL_STUDY, **changes}
    values["stages"] = {
        **SMALL_STUDY["stages"],
        "denoising": DENOISING_STAGE,
        **changes.get("stages", {}),
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def aesweep(*arguments: object, check: int | None = 0) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "aesweep.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert check is None or done.returncode == check, done.stderr
    return done


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """A finished run's folder, and what the command said."""
    folder = tmp_path_factory.mktemp("finished")
    done = aesweep("run", study_file(folder), "--runs", folder / "runs", "--json")
    return folder / "runs" / "small", done


@pytest.fixture(scope="module")
def events(finished):
    return read_journal(finished[0] / "journal.jsonl")


def of(events, kind, **fields):
    return [e for e in events if e["kind"] == kind and all(e[name] == value for name, value in fields.items())]


def test_run_ends_in_a_report_and_says_where(finished):
    folder, done = finished
    values = json.loads(done.stdout)
    assert (values["status"], values["missing"]) == ("completed", [])
    assert Path(values["report"]) == folder / "report.md"
    assert (folder / "report.md").stat().st_size > 1000
    assert "stage architecture" in done.stderr


def test_every_trial_has_gapless_rows_and_one_end(events):
    created = [e["trial"] for e in events if e["kind"] in ("trial_created", "retraining_created")]
    assert len(created) == len(set(created))
    for trial in created:
        epochs = [row["epoch"] for row in of(events, "row", trial=trial)]
        (end,) = of(events, "trial_ended", trial=trial)
        assert epochs == list(range(1, end["epochs"] + 1))
        assert end["status"] in ("completed", "stopped")


def test_every_cell_ends_with_a_fully_trained_best(events):
    for stage in of(events, "stage_started"):
        winners = of(events, "cell_winner", stage=stage["stage"])
        assert len(winners) == stage["num_cells"]
        for winner in winners:
            (end,) = of(events, "trial_ended", trial=winner["trial"])
            assert (end["status"], end["epochs"]) == ("completed", stage["epochs"])


def test_asha_stopped_trials_and_every_decision_follows_from_the_rows_before(events):
    trials = {e["trial"]: e for e in of(events, "trial_created")}
    stages = {e["stage"]: e for e in of(events, "stage_started")}
    ashas, values, decisions = {}, {}, 0
    for event in events:
        if event["kind"] == "row" and event["trial"] in trials:
            stage = stages[trials[event["trial"]]["stage"]]
            values[event["trial"]] = (event["epoch"], event[stage["metric"]])
        if event["kind"] != "decision":
            continue
        trial = trials[event["trial"]]
        stage = stages[trial["stage"]]
        cell = (trial["stage"], json.dumps(trial["cell"]))
        asha = ashas.setdefault(cell, Asha(stage["rungs"], 3, stage["mode"]))
        decision = asha.decide(event["trial"], *values[event["trial"]])
        assert (decision.keep, decision.num_compared) == (event["action"] == "continue", event["num_compared"])
        assert decision.cutoff == event["cutoff"]
        decisions += 1
    assert decisions > 10
    assert of(events, "trial_ended", status="stopped")


def test_report_and_status_need_the_journal_alone(finished, tmp_path):
    folder, _ = finished
    before = (folder / "report.md").read_bytes()
    status = aesweep("status", folder, "--json").stdout
    copy = tmp_path / "small"
    copy.mkdir()
    shutil.copy(folder / "journal.jsonl", copy)
    shutil.copytree(folder / "pictures", copy / "pictures")
    aesweep("report", copy)
    assert (copy / "report.md").read_bytes() == before
    assert aesweep("status", copy, "--json").stdout == status
    assert {path.name for path in folder.iterdir()} >= {"journal.jsonl", "study.yaml", "tables", "figures"}


def test_reported_error_is_that_of_the_checkpoint_in_plain_torch(finished, events):
    folder, _ = finished
    images = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)[1437:].reshape(360, 64) / np.float32(255)
    for event in of(events, "retrained"):
        (created,) = of(events, "retraining_created", trial=event["trial"])
        if created["configuration"]["noise_variance"]:
            continue
        path = folder / event["checkpoint"]["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == event["checkpoint"]["sha256"]
        widths = [64, *created["configuration"]["hidden_layers"], created["configuration"]["latent_dim"]]
        pairs = list(itertools.pairwise(widths))
        pairs += [(b, a) for a, b in reversed(pairs)]
        layers = []
        for number, (rows, columns) in enumerate(pairs):
            layers.append(nn.Linear(rows, columns))
            code, last = number == len(widths) - 2, number == len(pairs) - 1
            layers += [] if code else [nn.Sigmoid() if last else nn.GELU()]
        model = nn.Sequential(*layers)
        model.load_state_dict(load_file(path))
        with no_grad():
            outputs = model(tensor(images)).numpy().astype(np.float64)
        assert event["test_mse"] == pytest.approx(((outputs - images) ** 2).mean(), rel=1e-6)


def test_reported_pca_is_that_of_scikit_learn(events):
    images = np.rint(load_digits().images * (255 / 16)).reshape(-1, 64) / 255
    training, test = images[:1437], images[1437:]
    for event in of(events, "baseline", split="test", method="pca"):
        pca = PCA(event["latent_dim"], svd_solver="full").fit(training)
        outputs = pca.inverse_transform(pca.transform(test))
        assert event["mse"] == pytest.approx(((outputs - test) ** 2).mean(), rel=1e-5)


def test_reconstruct_writes_pictures_and_their_errors(finished, events, tmp_path):
    from PIL import Image

    folder, _ = finished
    image = tmp_path / "digit.png"
    Image.fromarray(np.rint(load_digits().images[0] * (255 / 16)).astype(np.uint8)).save(image)
    checkpoint = folder / of(events, "retrained")[0]["checkpoint"]["file"]
    done = aesweep("reconstruct", checkpoint, image, "--output", tmp_path / "out", "--add-noise", "0.1", "--json")
    (row,) = json.loads(done.stdout)
    assert 0 < row["mse"] < 1
    assert Image.open(row["output"]).size == (8, 8)
    assert (tmp_path / "out" / "digit.noisy.png").is_file()


@pytest.mark.slow  # tests/search/test_replay.py retrains otherwise, with a toy
def test_retrain_adds_seeds_without_repeating_any(finished, tmp_path):
    folder = tmp_path / "small"
    shutil.copytree(finished[0], folder)
    before = read_journal(folder / "journal.jsonl")
    aesweep("retrain", folder, "--seeds", "3", "--quiet")
    added = read_journal(folder / "journal.jsonl")[len(before) :]
    known = {e["trial"] for e in of(before, "retrained")}
    again = {e["trial"] for e in of(added, "retrained")}
    assert again and not again & known


@pytest.mark.slow  # test_resume.py has one worker's rows twice, test_pack_membership.py those of several at once
def test_same_study_and_seed_give_the_same_rows_as_far_as_both_went(finished, events, tmp_path):
    aesweep("run", study_file(tmp_path), "--runs", tmp_path / "runs", "--workers", "1", "--quiet")
    others = read_journal(tmp_path / "runs" / "small" / "journal.jsonl")

    def rows(found):
        return {
            (e["trial"], e["epoch"]): (e["loss"], e["training_mse"], e.get("validation_mse")) for e in of(found, "row")
        }

    def configurations(found):
        return {e["trial"]: e["configuration"] for e in of(found, "trial_created", stage="architecture")}

    ours, theirs = rows(events), rows(others)
    common = {key for key in ours.keys() & theirs.keys() if key[0].startswith("architecture")}
    assert configurations(events) == configurations(others)
    assert len(common) > 40
    assert {key: ours[key] for key in common} == {key: theirs[key] for key in common}


@pytest.mark.slow  # tests/search/test_replay.py has such a run, with a toy
def test_diverging_trials_are_recorded_and_the_rest_goes_on(tmp_path):
    stages = {
        "architecture": {
            "space": {
                "hidden_layers": {"grid": [[32]]},
                "latent_dim": 4,
                "output": "linear",
                "schedule": "constant",
                "learning_rate": {"grid": [0.001, 1e30]},
            },
            "table": {"rows": "hidden_layers"},
            "epochs": 2,
        }
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**SMALL_STUDY, "stages": stages}))
    aesweep("run", path, "--runs", tmp_path, "--quiet")
    events = read_journal(tmp_path / "small" / "journal.jsonl")
    assert sorted(e["status"] for e in of(events, "trial_ended"))[:2] == ["completed", "completed"]
    (end,) = of(events, "trial_ended", status="diverged")
    assert end["epochs"] == 1 and "not finite" in end["reason"]


@pytest.mark.slow  # tests/flows runs a folder of grey ones
def test_folder_of_colour_images_runs_from_end_to_end(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for part, number in (("train", 40), ("test", 12)):
        (tmp_path / "faces" / part).mkdir(parents=True)
        for index in range(number):
            pixels = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "faces" / part / f"{index:03d}.png")
    values = {
        "name": "colour",
        "datasets": [{"name": "faces", "path": "faces"}],
        "stages": {
            "latent": {
                "space": {"hidden_layers": [8], "latent_dim": {"grid": [2, 500]}, "batch_size": 16},
                "table": {"rows": "latent_dim"},
                "epochs": 2,
            }
        },
        "retraining": {"epochs": 1, "seeds": 2},
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(values))
    aesweep("run", path, "--runs", tmp_path, "--quiet")
    events = read_journal(tmp_path / "colour" / "journal.jsonl")
    assert of(events, "run_ended", status="completed")
    checkpoint = tmp_path / "colour" / of(events, "retrained")[0]["checkpoint"]["file"]
    image = tmp_path / "faces" / "test" / "000.png"
    (row,) = json.loads(aesweep("reconstruct", checkpoint, image, "--output", tmp_path / "out", "--json").stdout)
    assert Image.open(row["output"]).size == (9, 6)


def run_with_a_decision(tmp_path, **changes) -> tuple[subprocess.Popen, Path]:
    """A run in a process of its own that has decided on a trial, and its journal."""
    command = [sys.executable, "-m", "aesweep.cli", "run", study_file(tmp_path, **changes), "--runs", tmp_path / "runs"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "runs" / "small" / "journal.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (journal.exists() and of(read_journal(journal), "decision")):
        time.sleep(0.1)
    return process, journal


@pytest.mark.slow  # tests/process/test_signals.py has one of each
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_run_with_everything_recorded(tmp_path, number):
    changes = {"retraining": {"epochs": 4000, "seeds": 2}}
    process, journal = run_with_a_decision(tmp_path, **changes)
    os.kill(process.pid, number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number, said
    events = read_journal(journal)
    assert events[-1]["kind"] == "run_ended" and events[-1]["status"] == "interrupted"
    started = {e["trial"] for e in of(events, "row")}
    assert started == {e["trial"] for e in of(events, "trial_ended")} & started
    assert (tmp_path / "runs" / "small" / "report.md").exists()


@pytest.mark.slow  # tests/process/test_signals.py sends them to all processes
def test_second_signal_does_not_wait_for_workers_and_leaves_a_run_that_goes_on(tmp_path):
    changes = {"retraining": {"epochs": 2, "seeds": 1}}
    process, journal = run_with_a_decision(tmp_path, **changes)
    for _ in range(2):
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.05)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in said, said
    aesweep("resume", tmp_path / "runs" / "small", "--quiet")
    assert of(read_journal(journal), "run_ended", status="completed")

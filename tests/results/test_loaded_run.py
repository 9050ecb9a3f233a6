"""A run in a notebook: its frames against the journal, its models against plain PyTorch, its pictures against both."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from aesweep.process.errors import RunFolderError
from aesweep.results import NotInRunError, load_run
from aesweep.results.axes import axes_of
from aesweep.results.columns import column, description
from aesweep.results.frames import FRAMES
from aesweep.storage.journal import read_journal
from aesweep.storage.run_folder import RunFolder
from aesweep.training.checkpoints.model_file import CheckpointError
from tests.report.synthetic import Synthetic, of_a_package, write_events

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "storage" / "recorded" / "commit-5b10079"


@pytest.fixture(scope="module")
def run(trained_run):
    return load_run(trained_run)


@pytest.fixture(scope="module")
def events(trained_run):
    return read_journal(trained_run / "journal.jsonl")


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    return load_run(Synthetic(seeds=(1, 2)).build().write(tmp_path_factory.mktemp("runs") / "synthetic").root)


@pytest.fixture
def interrupted(tmp_path):
    shutil.copytree(OLD / "interrupted", tmp_path / "old")
    return tmp_path / "old"


def same(value, other) -> bool:
    return other is None or math.isnan(other) if value is None else value == other


def test_rows_are_those_of_the_journal_with_its_lines(run, events):
    rows = [event for event in events if event["kind"] == "row"]
    assert len(run.rows) == len(rows) > 100
    for event, (_, line) in zip(rows, run.rows.iterrows(), strict=True):
        for name in ("trial", "epoch", "loss", "training_mse", "learning_rate", "seconds"):
            assert line[name] == event[name]
        for name in ("validation_mse", "validation_psnr_db", "rate_nats"):
            assert same(event.get(name), line[name])
        assert line["journal_line"] == event["seq"] + 1
        assert line["time"].timestamp() == event["time"]


def test_lines_of_the_journal_are_found_by_their_number(run, trained_run):
    lines = (trained_run / "journal.jsonl").read_text().splitlines()
    for frame in (run.rows, run.decisions):
        line = frame.iloc[len(frame) // 2]
        event = json.loads(lines[line["journal_line"] - 1])
        assert (event["trial"], event["epoch"]) == (line["trial"], line["epoch"])


def test_trials_and_decisions_are_those_of_the_journal(run, events):
    created = {event["trial"]: event for event in events if event["kind"] == "trial_created"}
    ended = {event["trial"]: event for event in events if event["kind"] == "trial_ended"}
    assert list(run.trials["trial"]) == list(created)
    for _, line in run.trials.iterrows():
        assert line["learning_rate"] == created[line["trial"]]["configuration"]["learning_rate"]
        assert line["hidden_layers"] == "-".join(map(str, created[line["trial"]]["configuration"]["hidden_layers"]))
        assert (line["status"], line["epochs"]) == (ended[line["trial"]]["status"], ended[line["trial"]]["epochs"])
    winners = {event["trial"] for event in events if event["kind"] == "cell_winner"}
    assert set(run.trials[run.trials["is_winner"]]["trial"]) == winners
    best = {event["trial"] for event in events if event["kind"] == "stage_winner"}
    assert set(run.trials[run.trials["is_best"]]["trial"]) == best
    decisions = [(e["trial"], e["epoch"], e["action"], e["value"]) for e in events if e["kind"] == "decision"]
    names = ["trial", "epoch", "action", "value"]
    assert list(run.decisions[names].itertuples(index=False, name=None)) == decisions


def test_winners_and_retrainings_have_the_test_errors_of_the_journal(run, events):
    results = {event["trial"]: event for event in events if event["kind"] == "retrained"}
    assert list(run.retrainings["trial"]) == list(results)
    for _, line in run.retrainings.iterrows():
        for name in ("test_mse", "test_psnr_db", "test_ssim", "training_mse"):
            assert line[name] == results[line["trial"]][name]
        assert line["checkpoint_sha256"] == results[line["trial"]]["checkpoint"]["sha256"]
    for _, line in run.winners.iterrows():
        mine = [results[name]["test_mse"] for name in line["retraining_trials"].split()]
        assert line["test_mse"] == pytest.approx(np.mean(mine), rel=1e-12)
    # The denoising stage retrains the winner of each cell, the others their best alone.
    assert run.winners.groupby("stage").size().to_dict() == {
        "architecture": 1, "regularization": 1, "denoising": 2, "variational": 1,
    }  # fmt: skip


def test_baselines_and_codes_are_those_of_the_journal(run, events):
    for kind, frame in (("baseline", run.baselines), ("codes", run.codes)):
        found = [event for event in events if event["kind"] == kind]
        assert len(found) == len(frame) > 0
        for event, (_, line) in zip(found, frame.iterrows(), strict=True):
            for name in set(frame.columns) & set(event):
                value = line[name]
                assert (event[name] is None and pd.isna(value)) or value == event[name]


def test_every_column_is_described_and_has_the_type_of_its_kind(run, synthetic, interrupted):
    kinds = {"text": "str", "number": "float64", "flag": "bool", "time": "datetime64[us, UTC]"}
    for known in (run, synthetic, load_run(interrupted)):
        for name in FRAMES:
            frame = known.frame(name)
            assert len(set(frame.columns)) == len(frame.columns)
            assert list(description(frame).index) == list(frame.columns)
            for title in frame:
                kind = column(title).kind
                assert str(frame[title].dtype) in ([kinds[kind]] if kind != "count" else ["int64", "Int64"]), title
                assert column(title).meaning and (kind in ("text", "flag") or column(title).unit)


def test_curves_are_the_rows_of_the_chosen_trials(run):
    curves = run.curves("training_mse", stage="architecture", latent_dim=[4, 8], hidden_layers="32")
    chosen = run.trials.query("stage == 'architecture' and hidden_layers == '32'")["trial"]
    assert set(curves.columns) == set(chosen)
    trial = chosen.iloc[0]
    mine = run.rows[run.rows["trial"] == trial].set_index("epoch")["training_mse"]
    assert curves[trial].dropna().to_dict() == mine.to_dict()


def test_a_model_is_the_plain_torch_model_on_images(run, trained_run):
    winner = run.winner("architecture")
    line = run.trials.query("stage == 'architecture' and is_best").iloc[0]
    assert (winner.trial, winner.value) == (line["trial"], line["validation_mse"])
    model = run.model(winner)
    (checkpoint,) = run.retrainings[run.retrainings["trial"] == winner.retrainings[0]]["checkpoint"]
    tensors = load_file(trained_run / checkpoint)
    layers: list[nn.Module] = []
    widths = [64, *winner.configuration.hidden_layers, winner.configuration.latent_dim]
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.GELU()]
    layers.pop()
    encoder_length = len(layers)
    for before, after in itertools.pairwise(widths[::-1]):
        layers += [nn.Linear(before, after), nn.GELU()]
    plain = nn.Sequential(*layers[:-1], nn.Sigmoid())
    plain.load_state_dict(tensors)
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model(images), plain(images.flatten(1)).reshape(5, 1, 8, 8))
        codes = plain[:encoder_length](images.flatten(1))
        torch.testing.assert_close(model.encode(images), codes)
        torch.testing.assert_close(model.decode(codes), model(images))
    assert not model.training and "Linear" in repr(model)


def test_pictures_are_what_the_model_makes_of_the_originals(run):
    arrays = run.pictures("architecture")
    with torch.no_grad():
        outputs = run.model(run.winner("architecture"))(torch.from_numpy(arrays["original"]))
    np.testing.assert_allclose(outputs.numpy(), arrays["winner"], atol=1e-6)


def test_codes_of_a_variational_winner_are_means_of_its_length(run):
    model = run.model(run.winner("variational"))
    images = torch.rand(3, 1, 8, 8)
    assert model.encode(images).shape == (3, model.latent_dim)
    torch.testing.assert_close(model.decode(model.encode(images)), model(images).detach())


def test_winners_are_found_by_their_cell(run):
    by_variance = {v: run.winner("denoising", noise_variance=v) for v in (0.05, 0.2)}
    assert all(winner.configuration.noise_variance == v for v, winner in by_variance.items())
    assert run.winner("architecture", hidden_layers=[32, 16], latent_dim=4).configuration.hidden_layers == (32, 16)
    some = run.cells.query("stage == 'architecture' and latent_dim == 4").sort_values("value").iloc[0]
    assert run.winner("architecture", latent_dim=4).trial == some["trial"]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda run: run.winner("nothing"), "no winner of nothing, digits: stages are architecture"),
        (lambda run: run.winner("architecture", latent_dim=5), "no winner of architecture, digits, latent_dim 5"),
        (lambda run: run.model("trial-7"), "no trial 'trial-7'"),
        (lambda run: run.pictures("architecture", "denoising"), "known are architecture/codes/digits"),
        (lambda run: run.model(run.trials.query("not is_winner")["trial"].iloc[0]), "is kept: expected the winner"),
    ],
)
def test_what_a_run_does_not_have_is_told(run, ask, message):
    with pytest.raises(NotInRunError, match=message):
        ask(run)


def test_images_of_another_form_are_refused(run):
    model = run.model(run.winner("architecture"))
    with pytest.raises(ValueError, match=r"expected images \[N, 1, 8, 8\], got \[3, 64\]"):
        model(torch.rand(3, 64))
    with pytest.raises(ValueError, match="divide bytes by 255"):
        model.encode(torch.zeros(3, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"expected codes \[N, "):
        model.decode(torch.zeros(3, model.latent_dim + 1))


def test_a_changed_checkpoint_and_a_folder_that_is_no_run_are_refused(trained_run, tmp_path):
    copy = shutil.copytree(trained_run, tmp_path / "copy")
    known = load_run(copy)
    winner = known.winner("architecture")
    path = copy / known.state.trials[winner.retrainings[0]].checkpoint["file"]
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(CheckpointError, match="expected the checkpoint with SHA-256"):
        known.model(winner)
    with pytest.raises(RunFolderError, match="is not a run"):
        load_run(tmp_path)


def test_figures_are_those_of_the_report(run, trained_run, tmp_path):
    assert set(run.figures) == {path.stem for path in (trained_run / "figures").glob("*.svg")}
    assert type(run.figures["digits-architecture"]).__module__ == "matplotlib.figure"
    run.figures.save("digits-architecture", tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_a_run_under_way_is_read_at_every_event(trained_run, tmp_path):
    lines = (trained_run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    journal = tmp_path / "journal.jsonl"
    num_rows = 0
    for count in [0, 1, 2, *range(3, len(lines), 41), len(lines)]:
        journal.write_bytes(b"".join(lines[:count]) + (lines[count][:20] if count < len(lines) else b""))
        known = load_run(tmp_path)
        for name in FRAMES:
            assert list(known.describe(name)["meaning"])
        assert len(known.rows) >= num_rows
        num_rows = len(known.rows)
        assert repr(known) and known._repr_html_()
    assert known.status == "completed" and load_run(trained_run).rows.equals(known.rows)


def test_a_run_that_was_interrupted_has_provisional_winners_and_goes_on(interrupted):
    known = load_run(interrupted)
    assert known.status in ("interrupted", "unfinished") and len(known.rows) > 30
    assert known.model(known.winner("architecture").trial).dataset == "digits"
    journal = (interrupted / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (interrupted / "journal.jsonl").write_bytes(b"".join(journal[: len(journal) // 2]))
    before = load_run(interrupted)
    (interrupted / "journal.jsonl").write_bytes(b"".join(journal))
    assert len(before.rows) < len(before.reload().rows) == len(known.rows)
    assert before.identity == known.identity


def test_names_are_text_in_a_notebook(tmp_path):
    made = Synthetic().build()
    evil = '<script>alert("x")</script>'
    text = json.dumps(made.events).replace('"architecture"', json.dumps(evil))
    made.events = json.loads(text)
    shown = load_run(made.write(tmp_path / "<b>run").root)._repr_html_()
    assert "<script" not in shown and "&lt;script&gt;" in shown and "<b>run" not in shown


@pytest.mark.parametrize("package", ["aesweep", "sweep"])
def test_nothing_needs_ray_or_torch_before_a_model_is_asked_for(trained_run, package):
    code = f"""
import sys
from {package}.results import load_run
run = load_run({str(trained_run)!r})
for name in {list(FRAMES)!r}:
    run.describe(name)
run._repr_html_(), run.winner("architecture"), run.curves(), run.figures["digits-architecture"]
run.pictures("architecture")
print([name for name in ("torch", "ray") if name in sys.modules])
run.model(run.winner("architecture"))
print([name for name in ("torch", "ray") if name in sys.modules])
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} if package == "sweep" else None
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    assert done.stdout.splitlines() == ["[]", "['torch']"]


@pytest.mark.parametrize("as_a_whole", [False, True])
def test_settings_of_a_packages_family_are_axes_and_cells_as_any_others(synthetic, tmp_path, as_a_whole):
    events = of_a_package(Synthetic(seeds=(1, 2)).build().events, as_a_whole)
    run = load_run(write_events(RunFolder(tmp_path / "run"), events).root)
    column = "options" if as_a_whole else "options.widths"
    mine, plain = (known.cells.query("stage == 'architecture'") for known in (run, synthetic))
    expected = [f"depth {len(w.split('-'))}, widths {w}" if as_a_whole else w for w in plain["hidden_layers"]]
    assert list(mine[column]) == expected
    pd.testing.assert_series_equal(mine["value"], plain["value"])
    for name in FRAMES:
        assert len(run.describe(name)) == len(run.frame(name).columns)
    axes = run.axes("architecture")
    if as_a_whole:
        assert axes["options"].way == "grid" and len(axes["options"].values) == 3
    else:
        assert axes["options.widths"].values == ("1024", "512-128", "512-384-256-128")
        assert axes["options.depth"].values == (1, 2, 4)
    winner = run.winner("architecture", "mnist")
    assert winner.value == synthetic.winner("architecture", "mnist").value


def test_axis_under_a_field_that_all_trials_have_by_default_applies():
    """Frames leave such a field out, as the family of a run of dense models."""
    space = {"hidden_layers": {"grid": [[8], [4]], "when": {"family": "dense"}}, "family": {"value": "dense"}}
    axis = axes_of({"stages": {"s": {"space": space}}}, "s")["hidden_layers"]
    assert axis.applies({"hidden_layers": "8"}) and axis.applies({"family": "dense"})
    assert not axis.applies({"family": "convolutional"})

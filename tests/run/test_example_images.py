"""Whose pictures are taken: of every denoiser, and of a stage's winner, each by its longest retraining."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tiny_jobs import BASE, tiny_images, tiny_job

import aesweep.run.evaluation.example_images
from aesweep.data.image_data import ImageData
from aesweep.run.evaluation.example_images import take_pictures
from aesweep.search.retraining import Retraining
from aesweep.search.winners import Winner
from aesweep.storage.run_folder import RunFolder
from aesweep.study.study_file import check_study


def study_of(mode="min", stages=("stage",)):
    space = {"hidden_layers": [12, 8], "latent_dim": {"grid": [1, 3]}}
    metric = {"min": "validation_mse", "max": "validation_psnr_db"}[mode]
    stage = {"space": space, "table": {"rows": "latent_dim"}, "epochs": 2, "metric": metric, "mode": mode}
    values = {"name": "pictures", "datasets": ["digits"], "stages": dict.fromkeys(stages, stage)}
    return check_study({**values, "retraining": {"epochs": 2}, "report": {"num_pictures": 4}}, "a test")


def retraining(trial, value, epochs, seed, cell=None, stage="stage", **changed):
    configuration = dataclasses.replace(BASE, **changed)
    cell = cell or {"latent_dim": configuration.latent_dim}
    winner = Winner(stage, "tiny", cell, trial, value, configuration)
    name = f"{configuration.digest()}-{epochs}-{seed}"
    return Retraining(tiny_job(seed, configuration, trial=name, epochs=epochs, purpose="retraining"), [winner])


@pytest.fixture
def shown(monkeypatch):
    """Which retrainings were shown, in order; their outputs are their number in it."""
    found = []

    def outputs(_folder, retraining, inputs):
        found.append(retraining.spec.trial)
        return np.full_like(inputs, len(found) / 10)

    monkeypatch.setattr(aesweep.run.evaluation.example_images, "_outputs", outputs)
    return found


def taken(tmp_path, done, study=None, images=None, **settings):
    folder = RunFolder(tmp_path)
    return folder, list(take_pictures(folder, study or study_of(), images or tiny_images(), done, **settings))


@pytest.mark.parametrize(("mode", "best"), [("min", 3), ("max", 1)])
def test_the_best_cell_is_pictured_by_the_first_seed_of_its_longest_retraining(tmp_path, shown, mode, best):
    done = [
        retraining(f"cell-{latent_dim}", value, epochs, seed, latent_dim=latent_dim)
        for epochs in (40, 80, 20)
        for latent_dim, value in ((1, 20.0), (3, 10.0))
        for seed in (1, 2)
    ]
    _, (event,) = taken(tmp_path, done, study_of(mode))
    (name,) = {
        r.spec.trial for r in done if (r.spec.configuration.latent_dim, r.spec.epochs, r.spec.seeds) == (best, 80, (1,))
    }
    assert shown == [name]
    assert (event["purpose"], event["latent_dim"]) == ("reconstruction", best)
    assert (event["cells"], event["epochs"]) == ([{"latent_dim": best}], [80])


def test_a_longer_retraining_of_the_same_configuration_counts_whatever_it_was_made_for(tmp_path, shown):
    done = [retraining("a", 1.0, 40, 1), retraining("b", 1.0, 80, 1, stage="later")]
    _, (first, second) = taken(tmp_path, done, study_of(stages=("stage", "later")))
    assert shown == [done[1].spec.trial] * 2 and first["epochs"] == second["epochs"] == [80]


def test_every_denoiser_and_the_best_plain_winner_of_one_stage_have_pictures(tmp_path, shown):
    cells = [(z, v) for z in (1, 3) for v in (0.0, 0.1)]
    done = [
        retraining(f"{z}-{v}", z, 9, 1, {"noise_variance": v, "latent_dim": z}, latent_dim=z, noise_variance=v)
        for z, v in cells
    ]
    folder, events = taken(tmp_path, done)
    assert [(event["purpose"], event["cells"]) for event in events] == [
        ("denoising", [{"noise_variance": 0.1, "latent_dim": 1}, {"noise_variance": 0.1, "latent_dim": 3}]),
        ("reconstruction", [{"noise_variance": 0.0, "latent_dim": 1}]),
    ]
    assert len({event["file"] for event in events}) == 2
    with np.load(folder.root / events[0]["file"], allow_pickle=False) as arrays:
        assert [round(float(a.mean()), 3) for a in arrays["denoised"]] == [0.1, 0.2]
        assert arrays["denoised"].shape == (2, 4, 1, 4, 4)
    _, rest = taken(tmp_path, done, skip={("stage", "denoising")})
    assert [event["file"] for event in rest] == [events[1]["file"]]


def test_no_two_stages_and_data_sets_share_a_file(tmp_path, shown):
    files = []
    for dataset, stage in (("a", "b-c"), ("a-b", "c"), ("a-b-c", "c"), ("a", "c")):
        images = dataclasses.replace(tiny_images(), name=dataset)
        assert isinstance(images, ImageData)
        _, events = taken(tmp_path, [retraining("t", 1.0, 9, 1, stage=stage)], study_of(stages=(stage,)), images)
        files += [event["file"] for event in events]
    assert len(set(files)) == 4 and files[-1] == "pictures/a-c.npz"

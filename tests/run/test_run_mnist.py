"""The whole path on the real MNIST, small; and its numbers again with nothing but torch and torchvision."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision
import yaml
from safetensors.torch import load_file
from torch import nn

from aesweep.storage.journal import read_journal

pytestmark = [pytest.mark.mnist, pytest.mark.ray, pytest.mark.timeout(600)]

STUDY = {
    "name": "real",
    "datasets": ["mnist"],
    "stages": {
        "architecture": {
            "space": {"hidden_layers": {"grid": [[64], [64, 32]]}, "latent_dim": {"grid": [15, 30]}},
            "table": {"rows": "latent_dim", "columns": "hidden_layers"},
            "epochs": 2,
            "training_images": 4000,
            "validation_images": 500,
        },
        "denoising": {
            "from": "architecture",
            "space": {"noise_variance": {"grid": [0.25]}},
            "table": {"rows": "noise_variance"},
            "epochs": 2,
            "training_images": 4000,
            "validation_images": 500,
            "metric": "validation_psnr_db",
        },
    },
    "retraining": {"epochs": 1, "seeds": 2},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    if "AESWEEP_DATA_DIR" not in os.environ:
        pytest.skip("set AESWEEP_DATA_DIR to the folder that holds MNIST/raw")
    folder = tmp_path_factory.mktemp("mnist")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    command = [sys.executable, "-m", "aesweep.cli", "run", str(folder / "study.yaml"), "--runs", str(folder)]
    subprocess.run(command, check=True, timeout=580)
    return folder / "real"


def test_report_is_complete(run):
    text = (run / "report.md").read_text()
    for heading in ("Architecture", "Denoising", "Winners on the full data", "Best configurations", "Search"):
        assert f"### {heading}" in text
    for figure in run.glob("figures/*.png"):
        assert figure.stat().st_size > 5000


def test_reported_error_is_found_again_with_torch_and_torchvision(run):
    events = read_journal(run / "journal.jsonl")
    created = {e["trial"]: e["configuration"] for e in events if e["kind"] == "retraining_created"}
    event = next(e for e in events if e["kind"] == "retrained" and created[e["trial"]]["noise_variance"] == 0)
    widths = [784, *created[event["trial"]]["hidden_layers"], created[event["trial"]]["latent_dim"]]
    encoder, decoder = list(itertools.pairwise(widths)), list(itertools.pairwise(reversed(widths)))
    layers = [part for pair in encoder for part in (nn.Linear(*pair), nn.GELU())][:-1]
    layers += [part for pair in decoder for part in (nn.Linear(*pair), nn.GELU())][:-1]
    model = nn.Sequential(*layers, nn.Sigmoid())
    model.load_state_dict(load_file(run / event["checkpoint"]["file"]))
    data = torchvision.datasets.MNIST(
        os.environ["AESWEEP_DATA_DIR"], train=False, transform=torchvision.transforms.ToTensor()
    )
    images = torch.stack([image for image, _ in data]).flatten(1)
    with torch.no_grad():
        mse = (model(images) - images).double().square().mean().item()
    assert event["test_mse"] == pytest.approx(mse, rel=1e-6)

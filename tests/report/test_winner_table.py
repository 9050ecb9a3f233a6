"""One rule for which retraining counts, wherever the report speaks of winners; and names that tell cells apart."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from synthetic import EMPTY_FIGURE, Synthetic

from aesweep.report.page import write_report
from aesweep.report.rows.reader import read_run
from aesweep.report.rows.types import Run
from aesweep.report.sections.contents import Contents
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.configuration import Configuration

Events = list[dict[str, Any]]
BEST = {"mnist": 0.0100, "fashion_mnist": 0.0200}


def cells_retrained(
    budgets: tuple[int, ...], metric: str = "validation_mse", missing: tuple[str, ...] = ()
) -> Synthetic:
    """A run of one stage whose cells were all retrained; the longer, the better, and the winner best of all.

    Args:
        budgets: in the order in which they were asked for.
        metric: of the stage.
        missing: retrainings that gave no result, as DATASET-TRIAL-EPOCHS.
    """
    made = Synthetic(reference=False)
    made._start()
    made.events[0]["study"]["stages"] = {"architecture": {"retraining": {"of": "cells"}}}
    made._search("architecture", metric, {"rows": "latent_dim", "columns": "hidden_layers"})
    run = read_run(RunState([{"seq": i, "time": 0.0, **event} for i, event in enumerate(made.events)]))
    for dataset, best in BEST.items():
        stage = run.stages["architecture"]
        for epochs in budgets:
            for cell, winner in stage.cells(dataset).items():
                if winner is None:
                    continue
                name = f"retraining-{dataset}-{winner.configuration.digest()}-{epochs}-1"
                made._add(
                    "retraining_created", trial=name, dataset=dataset, configuration=winner.configuration.as_dict(),
                    seed=1, epochs=epochs, num_images=60_000,
                    serves=[{"stage": "architecture", "cell": dict(cell), "trial": winner.name}],
                )  # fmt: skip
                if f"{winner.name}-{epochs}" in missing:
                    continue
                test = best * (1 if winner is stage.best(dataset) else 2) * 30 / epochs
                made._add(
                    "retrained", trial=name, training_mse=test, test_mse=test, test_psnr_db=20.0, test_ssim=0.9,
                    epochs=epochs, seconds=1.0,
                    checkpoint={"file": f"checkpoints/{name}.safetensors", "sha256": "cd" * 32, "num_bytes": 1},
                )  # fmt: skip
                made._add("trial_ended", trial=name, status="completed", epochs=epochs, reason=None, seconds=1.0)
        made._baselines(None, dataset, "test", [w.configuration for w in stage.cells(dataset).values() if w])
    made._add("run_ended", status="completed", seconds=1.0)
    return made


@pytest.fixture(autouse=True)
def unsaved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)


def reported(made: Synthetic, folder: RunFolder) -> tuple[str, Run]:
    run = read_run(RunState([{"seq": i, "time": 0.0, **event} for i, event in enumerate(made.events)]))
    return write_report(made.write(folder.root)).read_text(), run


@pytest.mark.parametrize("budgets", [(40, 80), (80, 40), (80,)])
@pytest.mark.parametrize("metric", ["validation_mse", "validation_psnr_db"])
def test_the_headline_is_of_the_stages_winner_by_its_longest_retraining(
    other_folder: RunFolder, budgets: tuple[int, ...], metric: str
) -> None:
    text, run = reported(cells_retrained(budgets, metric), other_folder)
    for dataset, heading in (("mnist", "MNIST"), ("fashion_mnist", "Fashion-MNIST")):
        winner = run.stages["architecture"].best(dataset).configuration
        widths = "-".join(map(str, winner.hidden_layers))
        assert (
            f"- **{heading}**: `{widths}` at latent dimension {winner.latent_dim}, the winner of architecture, reaches "
            f"a test MSE of {BEST[dataset] * 30 / 80:.5f} after 80 epochs (1 seed)"
        ) in text


def test_rows_and_sentences_on_winners_name_their_cells_and_epochs(other_folder: RunFolder) -> None:
    text, run = reported(cells_retrained((40, 80)), other_folder)
    part = text.partition("## MNIST")[2].partition("## Fashion")[0]
    cells = [dict(cell) for cell, winner in run.stages["architecture"].cells("mnist").items() if winner]
    sentences = re.findall(r"^- Winner of (.*?): ", part, flags=re.MULTILINE)
    assert sorted(sentences) == sorted(
        f"architecture at latent dimension {cell['latent_dim']}, hidden layers "
        f"{'-'.join(map(str, cell['hidden_layers']))} after 80 epochs"
        for cell in cells
    )
    rows = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| architecture at ")]
    assert len(rows) == 2 * len(cells) and len(set(rows)) == len(cells)
    bold = [line for line in part.splitlines() if line.startswith("| architecture at ") and "**" in line]
    assert len(bold) == 1 and f"**{BEST['mnist'] * 30 / 80:.5f}**" in bold[0]
    assert "Bold: the winner of each stage, by its longest retraining." in part


def test_a_longer_retraining_without_a_result_does_not_count(other_folder: RunFolder) -> None:
    _, run = reported(cells_retrained((40,)), other_folder)
    winner = run.stages["architecture"].best("mnist").name
    text, _ = reported(cells_retrained((40, 80), missing=(f"{winner}-80",)), other_folder)
    assert f"test MSE of {BEST['mnist'] * 30 / 40:.5f} after 40 epochs" in text
    assert f"test MSE of {BEST['fashion_mnist'] * 30 / 80:.5f} after 80 epochs" in text


def two_axes(recorded: bool) -> Synthetic:
    """A denoising stage of two columns, each cell with pictures of its own; in a newer or an older journal."""
    made = Synthetic(reference=False)
    made._start()

    def configurations(stage: str, dataset: str) -> list[Configuration]:
        return [Configuration((16,), z, noise_variance=v) for v in (0.04, 0.25) for z in (15, 30)]

    made._configurations = configurations
    made._search("denoising", "validation_psnr_db", {"rows": "noise_variance", "columns": "latent_dim"})
    cells = [{"noise_variance": v, "latent_dim": z} for v in (0.04, 0.25) for z in (15, 30)]
    pictures = [np.full((2, 1, 4, 4), shade) for shade in (0.2, 0.4, 0.6, 0.8)]
    variances = [cell["noise_variance"] for cell in cells]
    stacked = np.stack(pictures)
    made._write_pictures(
        "mnist", "denoising", "denoising", None, variances, original=pictures[0], noisy=stacked, linear_mmse=stacked,
        denoised=stacked,
    )  # fmt: skip
    if recorded:
        made.events[-1] |= {"cells": cells, "epochs": [60] * 4}
    made._add("run_ended", status="completed", seconds=1.0)
    return made


@pytest.mark.parametrize("recorded", [True, False])
def test_pictures_of_cells_of_one_noise_are_told_apart(
    other_folder: RunFolder, recorded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = {}
    monkeypatch.setattr(
        Contents, "encoded", lambda _, drawing, suffix: saved.update({drawing.name: drawing}) or EMPTY_FIGURE
    )
    text, _ = reported(two_axes(recorded), other_folder)
    grids = {name: drawing for name, drawing in saved.items() if "-pictures" in name}
    assert list(grids) == [f"mnist-denoising-pictures-{v}-{z}" for v in ("0.04", "0.25") for z in (15, 30)]
    # What each shows is its own: the last picture of the grid is the network's.
    shades = [float(np.asarray(grid.figure.axes[0].images[-1].get_array()).mean()) for grid in grids.values()]
    assert shades == pytest.approx([0.2, 0.4, 0.6, 0.8])
    for (name, grid), z in zip(grids.items(), (15, 30) * 2, strict=True):
        assert f"latent dimension {z}" in grid.caption and f"latent dimension {z}" in grid.alternative
        assert ("after 60 epochs" in grid.caption) == recorded
        assert text.count(f"](figures/{name}.png)") == 1
    headings = text.partition("### Best configurations")[2].strip().splitlines()[0].split("|")[2:-1]
    assert [heading.strip() for heading in headings] == [
        f"denoising, noise variance {v}, latent dimension {z}" for v in ("0.04", "0.25") for z in (15, 30)
    ]


def test_whatever_stages_are_called_every_table_and_figure_has_a_file_of_its_own(
    other_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = []
    monkeypatch.setattr(
        Contents, "encoded", lambda _, drawing, suffix: (suffix == "png" and saved.append(drawing.name)) or EMPTY_FIGURE
    )
    made = cells_retrained((40,))
    end = made.events.pop()
    configurations = made._configurations
    made._configurations = lambda _stage, dataset: configurations("architecture", dataset)
    for stage in ("winners", "rungs", "Architecture"):
        made._search(stage, "validation_mse", {"rows": "latent_dim", "columns": "hidden_layers"})
    made.events.append(end)
    text, run = reported(made, other_folder)
    assert len(run.stages) == 4
    linked = re.findall(r"\]\(((?:figures|tables)/[^)]+\.(?:png|csv))\)", text)
    shared = {"tables/account.csv", "tables/trials.csv", "tables/retrainings.csv"}
    own = [name.casefold() for name in linked if name not in shared]
    assert len(own) == len(set(own)) and len(saved) == len({name.casefold() for name in saved})
    for name in linked:
        assert name.startswith("figures/") or (other_folder.root / name).is_file()


def test_a_winner_under_a_longer_budget_keeps_the_retraining_of_its_configuration(other_folder: RunFolder) -> None:
    made = cells_retrained((40,))
    text, run = reported(made, other_folder)
    winner = run.stages["architecture"].best("mnist").name
    mine = [event for event in made.events if event.get("trial") == winner]
    kinds = ("trial_created", "row", "trial_ended")
    longer = [{**event, "trial": f"{winner}-e99"} for event in mine if event["kind"] in kinds]
    for event in longer:
        if event["kind"] == "row":
            event["validation_mse"] = event["validation_mse"] / 2  # as `aesweep extend --epochs` would have it
    made.events = [*made.events[:-1], *longer, made.events[-1]]
    again, run = reported(made, other_folder)
    assert run.stages["architecture"].best("mnist").name == f"{winner}-e99"

    def result(page: str) -> list[str]:
        return re.findall(r"^- \*\*MNIST\*\*: .*? reaches a test MSE of (\S+) after", page, flags=re.MULTILINE)

    assert result(again) == result(text) and len(result(again)) == 1
    lines = [page.count("\n| architecture at ") for page in (text, again)]
    assert lines[0] == lines[1] > 0

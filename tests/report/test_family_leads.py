"""The best family at each latent dimension is chosen on validation images, and its lead is judged seed by seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from synthetic import EMPTY_FIGURE, Synthetic

from aesweep.report.analysis.leads import lead_frame
from aesweep.report.page import write_report
from aesweep.report.rows.reader import read_run
from aesweep.report.rows.types import Run, Stage
from aesweep.report.sections.families import lead_sentences, lead_table
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.configuration import Configuration

DENSE = [Configuration((1024,), 15), Configuration((512, 128), 15)]
CONVOLUTIONAL = [Configuration((), 15, family="convolutional", channels=channels) for channels in ((32, 64), (64, 128))]
# Validation MSE at latent dimension 15; at 30 half of it, with the families the other way round.
VALIDATION = dict(zip([*DENSE, *CONVOLUTIONAL], (0.010, 0.012, 0.009, 0.008), strict=True))
SEEDS = (1, 2, 3, 4)


def at(configuration: Configuration, latent_dim: int) -> Configuration:
    return Configuration.from_dict({**configuration.as_dict(), "latent_dim": latent_dim})


class Families(Synthetic):
    """One data set, two latent dimensions, two models of each of two families, each retrained as the test asks."""

    def __init__(self, metric: str = "validation_mse"):
        super().__init__(reference=False)
        self.metric = metric
        self._start()
        self.events[0]["study"]["stages"] = {"families": {"retraining": {"of": "cells"}}}
        self._search("families", metric, {"rows": "latent_dim", "columns": "model"})

    def _configurations(self, stage: str, dataset: str) -> list[Configuration]:
        return [at(c, z) for z in (15, 30) for c in VALIDATION] if dataset == "mnist" else []

    def _baselines(self, *_: Any) -> None:
        pass

    def _final(self, stage: str | None, dataset: str, c: Configuration) -> tuple[float, float]:
        value = VALIDATION[at(c, 15)]
        value = value if c.latent_dim == 15 else 0.02 - value
        return value, value

    def retrain(self, configuration: Configuration, values: dict[int, float], epochs: int = 30) -> None:
        """Records a test MSE for each seed."""
        trial = next(
            event
            for event in self.events
            if event["kind"] == "trial_created" and event["configuration"] == configuration.as_dict()
        )
        for seed, value in values.items():
            name = f"retraining-mnist-{configuration.digest()}-{epochs}-{seed}"
            self._add(
                "retraining_created", trial=name, dataset="mnist", configuration=configuration.as_dict(), seed=seed,
                epochs=epochs, num_images=60_000,
                serves=[{"stage": "families", "cell": trial["cell"], "trial": trial["trial"]}],
            )  # fmt: skip
            self._add(
                "retrained", trial=name, training_mse=value, test_mse=value, test_psnr_db=-10 * np.log10(value),
                test_ssim=0.9, epochs=epochs, seconds=1.0,
                checkpoint={"file": f"checkpoints/{name}.safetensors", "sha256": "cd" * 32, "num_bytes": 1},
            )  # fmt: skip
            self._add("trial_ended", trial=name, status="completed", epochs=epochs, reason=None, seconds=1.0)

    def run(self) -> Run:
        return read_run(RunState([{"seq": i, "time": 0.0, **event} for i, event in enumerate(self.events)]))

    def leads(self) -> pd.DataFrame:
        run = self.run()
        return lead_frame(run, run.stages["families"], "mnist")


def drawn(mean: float, generator: np.random.Generator, seeds: tuple[int, ...] = SEEDS) -> dict[int, float]:
    return {seed: mean * (1 + 0.05 * generator.standard_normal()) for seed in seeds}


def all_retrained(means: dict[Configuration, float], metric: str = "validation_mse") -> tuple[Families, dict]:
    made, values = Families(metric), {}
    generator = np.random.default_rng(5)
    for configuration, mean in means.items():
        for latent_dim in (15, 30):
            values[at(configuration, latent_dim)] = drawn(mean * 30 / latent_dim, generator)
            made.retrain(at(configuration, latent_dim), values[at(configuration, latent_dim)])
    return made, values


MEANS = {DENSE[0]: 0.0100, DENSE[1]: 0.0110, CONVOLUTIONAL[0]: 0.0060, CONVOLUTIONAL[1]: 0.0081}


def test_lead_is_the_paired_interval_of_another_library():
    made, values = all_retrained(MEANS)
    frame = made.leads()
    assert list(frame["latent_dim"]) == [15, 30] and list(frame["num_seeds"]) == [4, 4]
    best, other = (np.array(list(values[c].values())) for c in (CONVOLUTIONAL[1], DENSE[0]))
    expected = scipy.stats.ttest_rel(other, best).confidence_interval(0.95)
    line = frame.iloc[0]
    assert line["lead"] == pytest.approx((other - best).mean())
    assert line["lead"] - line["lead_half_width"] == pytest.approx(expected.low)
    assert line["lead"] + line["lead_half_width"] == pytest.approx(expected.high)
    own = scipy.stats.t.interval(0.95, 3, best.mean(), scipy.stats.sem(best))
    assert (line["test"], line["test_half_width"]) == pytest.approx((best.mean(), (own[1] - own[0]) / 2))


def test_families_and_models_are_chosen_on_validation_images():
    """By test errors 32-64 would stand for the convolutional ones, and these would win at 30 as well."""
    frame = all_retrained(MEANS)[0].leads()
    assert list(frame["family"]) == ["convolutional", "dense"]
    assert list(frame["model"]) == ["convolutional 64-128", "512-128"]
    assert list(frame["other_model"]) == ["1024", "convolutional 32-64"]
    assert frame["lead"].iloc[1] < 0


def test_leads_in_decibels_are_positive_for_the_better_one():
    made, values = all_retrained(MEANS, "validation_psnr_db")
    line = made.leads().iloc[0]
    best, other = (-10 * np.log10(list(values[c].values())) for c in (CONVOLUTIONAL[1], DENSE[0]))
    assert line["metric"] == "psnr_db" and line["lead"] == pytest.approx((best - other).mean()) and line["lead"] > 0
    assert "Lead, relative" not in lead_table(made.leads()).headings


def test_only_seeds_and_budgets_that_both_have_count():
    made = Families()
    made.retrain(CONVOLUTIONAL[1], {1: 0.5, 2: 0.6}, epochs=60)
    made.retrain(CONVOLUTIONAL[1], {1: 0.010, 2: 0.020, 3: 0.030})
    made.retrain(DENSE[0], {3: 0.032, 2: 0.023, 7: 0.9})
    line = made.leads().iloc[0]
    assert (line["epochs"], line["num_seeds"]) == (30, 2)
    assert (line["test"], line["other_test"], line["lead"]) == pytest.approx((0.025, 0.0275, 0.0025))
    assert len(line["retraining_trials"].split()) == len(line["other_retraining_trials"].split()) == 2


@pytest.mark.parametrize("retrained", [[], [CONVOLUTIONAL[1]], [DENSE[0]], [DENSE[1], CONVOLUTIONAL[0]]])
def test_nothing_is_said_where_the_best_of_two_families_were_not_retrained(retrained):
    made = Families()
    for configuration in retrained:
        made.retrain(configuration, {1: 0.01, 2: 0.02})
    assert made.leads().empty
    assert not lead_table(made.leads()) and lead_sentences(made.leads()) == []


def test_one_seed_has_no_interval():
    made = Families()
    for configuration in (CONVOLUTIONAL[1], DENSE[0]):
        made.retrain(configuration, {1: 0.01})
    (sentence,) = lead_sentences(made.leads())
    assert sentence.endswith("With one seed each, the leads cannot be told from chance.")
    table = lead_table(made.leads())
    assert "±" not in table.markdown and "retrained for 30 epochs with the same 1 seed, and" in table.lead


def test_sentence_names_families_and_counts_leads_beyond_seeds():
    (sentence,) = lead_sentences(all_retrained(MEANS)[0].leads())
    assert sentence == (
        "The best family by latent dimension: convolutional at 15; dense at 30. On the test set its lead exceeds the "
        "spread over seeds at 1 of 2 latent dimensions (95 % intervals of the differences, seed by seed); at 30 it "
        "falls behind by more than that."
    )


def test_report_shows_the_table_with_what_is_behind_it_and_writes_it(other_folder: RunFolder, monkeypatch):
    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)
    made, values = all_retrained(MEANS)
    text = write_report(made.write(other_folder.root)).read_text()
    mean = np.mean([*values[CONVOLUTIONAL[1]].values()])
    (row,) = [line for line in text.splitlines() if line.startswith("| 15 ") and "convolutional |" in line]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[:4] == ["15", "convolutional", "`convolutional 64-128`", "`1024`"]
    assert cells[4].startswith(f"{mean:.4f} ± ")
    written = pd.read_csv(other_folder.root / "tables" / "mnist-families-families.csv")
    pd.testing.assert_frame_equal(written, made.leads(), check_dtype=False)
    value = lead_table(made.leads()).rows[0][6]
    assert len(value.trials) == 8


def test_leads_of_a_section_are_computed_once(other_folder: RunFolder, monkeypatch):
    asked = []

    def counted(run: Run, stage: Stage, dataset: str) -> pd.DataFrame:
        asked.append((stage.name, dataset))
        return lead_frame(run, stage, dataset)

    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)
    monkeypatch.setattr("aesweep.report.sections.section.lead_frame", counted)
    write_report(all_retrained(MEANS)[0].write(other_folder.root))
    assert asked == [("families", "mnist")]


def test_stage_of_one_family_says_nothing_of_leads():
    made = Synthetic(reference=False).build()
    run = read_run(RunState([{"seq": i, "time": 0.0, **event} for i, event in enumerate(made.events)]))
    assert lead_frame(run, run.stages["architecture"], "mnist").empty

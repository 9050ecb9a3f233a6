"""Sentences against cases that are known to be in the synthetic run, and against small ones made by hand."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import scipy.stats
from synthetic import DATASETS, Synthetic

from aesweep.report.analysis.frames import cell_frame, winner_frame
from aesweep.report.rows.published import Published
from aesweep.report.rows.reader import read_run
from aesweep.report.rows.types import Run
from aesweep.report.sections import architecture, cells, claims, denoising, regularization, winners
from aesweep.report.sections.chance import Chance
from aesweep.report.sections.denoising import psnr_table
from aesweep.report.sections.registry import section_of
from aesweep.report.sections.rules import against, gap_text
from aesweep.storage.run_state import RunState

Events = list[dict[str, Any]]


def frame_of(run: Run, stage: str, dataset: str) -> Any:
    return cell_frame(run, run.stages[stage], dataset)


def changed(events: Events, **values: Any) -> Run:
    """The run with fields of `retrained` events changed by a function of (event, old value)."""
    events = copy.deepcopy(events)
    for event in events:
        if event["kind"] == "retrained":
            event.update({name: change(event, event[name]) for name, change in values.items()})
    return read_run(RunState(events))


def test_cells_behind_pca_and_the_mean_image_are_called_undertrained(run: Run) -> None:
    stage = run.stages["architecture"]
    found = cells.undertrained(stage, frame_of(run, "architecture", "fashion_mnist"))
    assert found[0].startswith(
        "**Undertrained, no better than the mean image:** latent dimension 15, hidden layers 512-384-256-128 ("
    )
    assert "latent dimension 30" not in found[0]
    for latent_dim in (30, 50, 100):
        assert f"latent dimension {latent_dim}, hidden layers 512-384-256-128 (" in found[1]
    assert found[1].startswith("**Undertrained, no better than PCA:**") and "512-128" not in found[1].replace(
        "256-128", ""
    )


def test_no_cell_is_called_undertrained_where_all_beat_the_baselines(run: Run) -> None:
    found = cells.undertrained(run.stages["architecture"], frame_of(run, "architecture", "mnist"))
    assert found == ["Every cell with a winner beats both PCA at its latent dimension and the mean image."]


def test_cells_without_a_finished_trial_are_named(run: Run) -> None:
    stage = run.stages["architecture"]
    assert cells.empty_cells(stage, "mnist", frame_of(run, "architecture", "mnist")) == [
        "No trial was trained to its end in: latent dimension 30, hidden layers 512-128 (2 diverged in epoch 2, "
        "1 failed after epoch 1)."
    ]
    assert cells.empty_cells(stage, "fashion_mnist", frame_of(run, "architecture", "fashion_mnist")) == []


def test_a_cell_whose_last_trial_diverged_says_so(run: Run) -> None:
    stage = run.stages["architecture"]
    frame = frame_of(run, "architecture", "mnist")
    line = frame[(frame["latent_dim"] == 15) & (frame["hidden_layers"] == "1024")]
    cell = (("latent_dim", 15), ("hidden_layers", (1024,)))
    first, *others = [trial for trial in stage.trials if (trial.dataset, trial.cell) == ("mnist", cell)]
    trials = [dataclasses.replace(first, status="diverged", epochs=first.epochs[:2])]
    trials += [
        dataclasses.replace(trial, status="stopped", epochs=(dataclasses.replace(trial.epochs[0], epoch=rung),))
        for trial, rung in zip(others, (9, 3), strict=True)
    ]
    found = cells.empty_cells(dataclasses.replace(stage, trials=tuple(trials)), "mnist", line.assign(value=None))
    assert found == [
        "No trial was trained to its end in: latent dimension 15, hidden layers 1024 (2 stopped at epochs 3 and 9, "
        "1 diverged in epoch 2)."
    ]


def test_the_best_cell_with_its_distance_to_pca(run: Run) -> None:
    stage = run.stages["architecture"]
    best = stage.best("mnist")
    value = best.last.validation_mse
    pca = run.baseline("mnist", "architecture", "pca", "mse", best.configuration)
    assert cells.best_cell(stage, frame_of(run, "architecture", "mnist")) == [
        f"Best of 12 cells: latent dimension 100, hidden layers 1024, validation MSE {value:.5f}, "
        f"{pca / value:.1f} times below PCA at the same latent dimension ({pca:.5f})."
    ]


def test_published_values_above_the_baselines_are_counted(run: Run) -> None:
    # MNIST, published: all eight above PCA; the four of five layers (0.077 to 0.082) above the mean image's 0.068.
    published = Published(run.reference)
    (text,) = architecture.published_against_baselines(
        run.stages["architecture"], "mnist", frame_of(run, "architecture", "mnist"), published
    )
    assert text.startswith(
        "Of 8 published values at these latent dimensions, 8 lie above PCA and 4 above the mean image"
    )


def test_published_values_are_passed_over_where_no_axis_is_the_latent_dimension(run: Run) -> None:
    stage = dataclasses.replace(run.stages["architecture"], rows="hidden_layers", columns=None)
    frame = frame_of(run, "architecture", "mnist").drop(columns="latent_dim")
    assert architecture.published_against_baselines(stage, "mnist", frame, Published(run.reference)) == []


@pytest.mark.parametrize(
    ("training", "other", "expected"),
    [
        (0.001, 0.0013, "test error lies 30 % above training error: it overfits"),
        (0.001, 0.00105, "test error lies 5 % above training error: no overfitting"),
        (0.001, 0.0009, "test error lies 10 % below training error: no overfitting"),
    ],
)
def test_overfitting_is_a_gap_of_more_than_ten_percent(training: float, other: float, expected: str) -> None:
    assert gap_text(training, other, "test") == expected


def test_an_error_that_is_not_below_a_baseline_is_not_called_so() -> None:
    assert against(0.002, 0.006, "PCA") == "3.0 times below PCA (0.00600)"
    assert against(0.006, 0.006, "PCA") == "not below PCA (0.00600)"


def test_a_regularizer_beats_none_by_more_than_the_spread(run: Run, events: Events) -> None:
    text, gap = regularization.regularizers(run, run.stages["regularization"], "mnist")
    assert text.startswith("Dropout does best on validation images")
    assert "That is more than the spread over seeds" in text
    values = {True: [], False: []}
    created = {e["trial"]: e for e in events if e["kind"] == "retraining_created"}
    for event in events:
        if event["kind"] == "retrained" and event["trial"].startswith("retraining-mnist"):
            configuration = created[event["trial"]]["configuration"]
            if configuration["noise_variance"] == 0:
                values[configuration["dropout"] > 0].append(event["test_mse"])
    test = scipy.stats.ttest_ind(values[False], values[True], equal_var=False).confidence_interval(0.95)
    middle, half = (test.low + test.high) / 2, (test.high - test.low) / 2
    assert f"falls by {middle:.6f} ± {half:.6f}" in text
    assert gap == "Without a regularizer, validation error lies 30 % above training error: it overfits."


def test_a_regularizer_within_the_spread_is_said_to_be(events: Events) -> None:
    spread = {1: 0.9, 2: 1.0, 3: 1.1, 4: 0.95, 5: 1.05}
    run = changed(events, test_mse=lambda event, _: 0.002 * spread[int(event["trial"].rsplit("-", 1)[1])])
    text, _ = regularization.regularizers(run, run.stages["regularization"], "mnist")
    assert "That is not more than the spread over seeds" in text


def test_a_regularizer_that_is_worse_on_test_images_is_said_to_be(run: Run, events: Events) -> None:
    winner = run.stages["regularization"].best("mnist").configuration
    created = {e["trial"]: e["configuration"] for e in events if e["kind"] == "retraining_created"}
    spread = {1: 0.99, 2: 1.0, 3: 1.01, 4: 0.995, 5: 1.005}

    def worse(event: dict[str, Any], _: float) -> float:
        factor = 2.0 if created[event["trial"]] == winner.as_dict() else 1.0
        return 0.002 * factor * spread[int(event["trial"].rsplit("-", 1)[1])]

    run = changed(events, test_mse=worse)
    text, _ = regularization.regularizers(run, run.stages["regularization"], "mnist")
    assert text.startswith("Dropout does best on validation images")
    assert "But the test MSE of the retrained models rises by 0.00200 ± " in text
    assert text.endswith(", more than the spread over seeds (Welch's 95 % interval, 5 seeds a side).")
    assert "falls" not in text


def test_regularizers_are_compared_after_as_many_epochs(events: Events) -> None:
    """The best one's longer retraining, which the plain network has no like of, decides nothing."""
    run = read_run(RunState(events))
    before = regularization.regularizers(run, run.stages["regularization"], "mnist")
    best = run.stages["regularization"].best("mnist").configuration
    mine = [r for r in run.retrainings if r.trial.dataset == "mnist" and r.trial.configuration == best]
    longer = [
        dataclasses.replace(
            r,
            trial=dataclasses.replace(r.trial, name=f"{r.trial.name}-longer", budget=900),
            result=dataclasses.replace(r.result, test_mse=1e-9),
        )
        for r in mine
    ]
    run = dataclasses.replace(run, retrainings=(*run.retrainings, *longer))
    assert regularization.regularizers(run, run.stages["regularization"], "mnist") == before


def test_without_retraining_nothing_is_said_to_be_beyond_chance(events: Events) -> None:
    run = read_run(RunState([e for e in events if e["kind"] != "retrained"]))
    text, _ = regularization.regularizers(run, run.stages["regularization"], "mnist")
    assert text.endswith("Each was trained with one seed, so the difference cannot be told from chance.")


def test_no_regularizer_beats_none_where_none_does(run: Run) -> None:
    text, _ = regularization.regularizers(run, run.stages["regularization"], "fashion_mnist")
    assert text.startswith("No regularizer beats none on validation images")


def test_the_network_against_the_linear_denoiser(run: Run) -> None:
    stage = run.stages["denoising"]
    for text in denoising.denoisers(stage, frame_of(run, "denoising", "mnist")):
        assert "the network beats the linear MMSE denoiser at every noise variance" in text
    validation, test = denoising.denoisers(stage, frame_of(run, "denoising", "fashion_mnist"))
    for text in (validation, test):
        assert "**Undertrained:**" in text and "noise variance 0.04 (by" in text and "0.25" not in text


def test_a_denoiser_judged_by_its_mse_is_compared_in_db_on_validation_images(events: Events) -> None:
    events = copy.deepcopy(events)
    for event in events:
        if event["kind"] == "stage_started" and event["stage"] == "denoising":
            event.update(metric="validation_mse", mode="min")
    run = read_run(RunState(events))
    frame = frame_of(run, "denoising", "mnist")
    assert denoising.denoisers(run.stages["denoising"], frame)[0].startswith("On validation images the network beats")
    header, _, first, *_ = psnr_table(run.stages["denoising"], "mnist", frame).markdown.splitlines()
    column = header.split("|").index(next(cell for cell in header.split("|") if "Validation: linear" in cell))
    assert first.split("|")[column].strip() == "22.10"


def test_a_single_known_cell_is_called_one_cell(run: Run) -> None:
    frame = frame_of(run, "denoising", "mnist")
    frame.loc[1:, "validation_psnr_db"] = None
    assert " in the 1 cell known, by " in denoising.denoisers(run.stages["denoising"], frame)[0]


def test_a_published_noise_level_is_read_both_ways(run: Run) -> None:
    frame = frame_of(run, "denoising", "mnist")
    psnr = frame.set_index("noise_variance").loc[0.04, "test_psnr_db"]
    (text,) = denoising.published_denoising("mnist", frame, Published(run.reference))
    assert "22 dB at noise level 0.2, which the source does not define" in text
    assert f"read as a standard deviation, the network reaches {psnr:.2f} dB here (test images)" in text
    assert "read as a variance" not in text


def test_published_claims_are_checked(run: Run) -> None:
    frames = {(s, d): frame_of(run, s, d) for s in run.stages for d in DATASETS}
    found = {(c, d): v for c, d, v in claims.published_claims(run, frames, Published(run.reference), section_of)}
    depth = "three hidden layers beat five on both datasets"
    assert found[depth, "mnist"] == "Holds: 3 layers beat 5 at 3 of 3 latent dimensions, on validation images."
    regularization_claim = "no regularization beats L1, L2, L1 + L2 and dropout"
    assert found[regularization_claim, "mnist"].startswith(
        "Does not hold: better than none on validation images: Dropout"
    )
    assert found[regularization_claim, "fashion_mnist"].startswith("Holds")
    assert found["lower noise gives higher PSNR", "mnist"].startswith("Holds")
    assert found["no overfitting is seen", "mnist"].startswith("Does not hold: the winner's test error lies 25 % above")


def test_the_claim_on_regularization_is_judged_by_the_regularizers_that_it_names(events: Events) -> None:
    for regularizer, holds in (("sparse_code", True), ("dropout", False)):
        mine = [
            e["trial"]
            for e in events
            if e["kind"] == "trial_created" and e["configuration"]["regularizer"] == regularizer
        ]
        run = read_run(RunState([{**e, "validation_mse": 1e-6} if e.get("trial") in mine else e for e in events]))
        frames = {("regularization", "fashion_mnist"): frame_of(run, "regularization", "fashion_mnist")}
        found = {c: v for c, _, v in claims.published_claims(run, frames, Published(run.reference), section_of)}
        verdict = found["no regularization beats L1, L2, L1 + L2 and dropout"]
        assert verdict.startswith("Holds: " if holds else "Does not hold: ") and "Sparse" not in verdict


def test_a_claim_that_nothing_can_check_is_said_to_be_unchecked(run: Run) -> None:
    published = Published({"claims_made": ["water is wet"]})
    assert claims.published_claims(run, {}, published, section_of) == [
        ("water is wet", "", "This run has nothing to check it by.")
    ]


def test_a_winner_that_does_not_beat_pca_is_called_undertrained(events: Events) -> None:
    run = changed(events, test_mse=lambda *_: 0.02)
    frame = winner_frame(run, "mnist", Published(None))
    text = winners.winner_sentences(frame)[0]
    assert "test MSE not below PCA" in text and "undertrained" in text and "mean image" not in text
    worse = winners.winner_sentences(winner_frame(changed(events, test_mse=lambda *_: 0.2), "mnist", Published(None)))
    assert "not even below the mean image" in worse[0]


def test_the_headline_of_a_run_without_retraining_is_empty() -> None:
    synthetic = Synthetic().build()
    events = [{"seq": i, "time": 0.0, **e} for i, e in enumerate(synthetic.events)]
    run = read_run(
        RunState([e for e in events if "retrain" not in e["kind"] and not e.get("trial", "").startswith("retrain")])
    )
    assert winners.headline(winner_frame(run, "mnist", Published(None))) is None


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.5, "Holds: "), (1.001, "Within chance: "), (1.0, "Within chance: "), (0.999, "Within chance: "),
     (0.5, "Does not hold: ")],
)  # fmt: skip
def test_a_claim_about_numbers_that_seeds_put_as_far_apart_is_within_chance(
    events: Events, factor: float, verdict: str
) -> None:
    """All regularizers do `factor` as well as none; seeds of one configuration lie about 1 % apart."""
    created = {e["trial"]: e for e in events if e["kind"] == "trial_created" and e["stage"] == "regularization"}
    changed = []
    for event in events:
        trial = created.get(event.get("trial"))
        if event["kind"] == "row" and trial is not None:
            plain = trial["configuration"]["regularizer"] == "none"
            event = {**event, "validation_mse": 0.055 * (1 if plain else factor)}
        changed.append(event)
    run = read_run(RunState(changed))
    frames = {("regularization", d): frame_of(run, "regularization", d) for d in DATASETS}
    claim = "no regularization beats L1, L2, L1 + L2 and dropout"
    found = {(c, d): v for c, d, v in claims.published_claims(run, frames, Published(run.reference), section_of)}
    for dataset in DATASETS:
        assert found[claim, dataset].startswith(verdict)
        if verdict.startswith("Within"):
            assert "may differ by" in found[claim, dataset]


def test_without_seeds_numbers_that_look_the_same_are_no_ground_for_a_verdict() -> None:
    unknown = Chance("mse", None)
    assert not unknown.decides(0.05501, 0.05499) and unknown.decides(0.0551, 0.0549)
    known = Chance("psnr_db", 0.3)
    assert not known.decides(20.0, 20.2) and known.decides(20.0, 20.4)

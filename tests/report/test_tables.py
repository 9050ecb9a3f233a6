"""Frames against numbers computed from the events by other means."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from synthetic import EMPTY_FIGURE, EPOCHS, LATENT_DIMS, Synthetic, write_events

from aesweep.report.analysis.account import account_frame, failure_frame
from aesweep.report.analysis.frames import cell_frame, seed_frame, trial_frame, winner_frame
from aesweep.report.page import write_report
from aesweep.report.rows.published import Published
from aesweep.report.rows.reader import read_run
from aesweep.report.rows.types import Run
from aesweep.report.sections.contents import Contents
from aesweep.report.sections.denoising import psnr_table, ssim_table
from aesweep.report.text.numbers import number
from aesweep.report.text.table import Value
from aesweep.storage.journal import read_journal
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.configuration import LATER, Configuration

Events = list[dict[str, Any]]


def rows_of(events: Events, kind: str) -> pd.DataFrame:
    return pd.DataFrame([event for event in events if event["kind"] == kind])


def test_architecture_values_are_the_best_completed_last_rows(run: Run, events: Events) -> None:
    frame = cell_frame(run, run.stages["architecture"], "mnist")
    rows = rows_of(events, "row").groupby("trial").last()
    created = rows_of(events, "trial_created").set_index("trial")
    completed = [e["trial"] for e in events if e["kind"] == "trial_ended" and e["status"] == "completed"]
    joined = created.join(rows["validation_mse"])
    joined = joined[(joined["stage"] == "architecture") & (joined["dataset"] == "mnist") & joined.index.isin(completed)]
    widths = joined["configuration"].map(lambda c: "-".join(map(str, c["hidden_layers"])))
    expected = joined.groupby([joined["configuration"].map(lambda c: c["latent_dim"]), widths])["validation_mse"].min()
    found = frame.dropna(subset="value").set_index(["latent_dim", "hidden_layers"])["value"].astype(float)
    assert found.to_dict() == pytest.approx(expected.to_dict())


def test_cells_are_ordered_by_latent_dimension_then_as_in_the_study(run: Run) -> None:
    frame = cell_frame(run, run.stages["architecture"], "fashion_mnist")
    assert list(frame["latent_dim"].unique()) == list(LATENT_DIMS)
    assert list(frame["hidden_layers"][:3]) == ["1024", "512-128", "512-384-256-128"]


def test_a_cell_without_a_finished_trial_has_no_value(run: Run) -> None:
    frame = cell_frame(run, run.stages["architecture"], "mnist").set_index(["latent_dim", "hidden_layers"])
    line = frame.loc[(30, "512-128")]
    assert pd.isna(line["value"]) and pd.isna(line["trial"])
    assert (line["num_completed"], line["num_trials"]) == (0, 3)


def test_ranks_and_the_best_cell(run: Run) -> None:
    frame = cell_frame(run, run.stages["architecture"], "mnist")
    known = frame.dropna(subset="value")
    assert list(known["rank"].astype(float)) == list(scipy.stats.rankdata(known["value"].astype(float)))
    assert known.loc[known["is_best"], "rank"].tolist() == [1.0]


def test_test_numbers_are_means_with_t_intervals_over_the_named_trials(run: Run, events: Events) -> None:
    retrained = rows_of(events, "retrained").set_index("trial")
    frame = cell_frame(run, run.stages["denoising"], "mnist")
    assert len(frame) == 3
    for _, line in frame.iterrows():
        values = retrained.loc[line["retraining_trials"].split(), "test_psnr_db"]
        assert len(values) == line["num_retrained"] == 3
        low, high = scipy.stats.t.interval(0.95, 2, values.mean(), scipy.stats.sem(values))
        assert line["test_psnr_db"] == pytest.approx(values.mean())
        assert 2 * line["test_psnr_db_half_width"] == pytest.approx(high - low)


def test_winners_show_validation_before_and_test_after(run: Run, events: Events) -> None:
    published = Published(run.reference)
    frame = winner_frame(run, "mnist", published)
    assert list(frame["stage"]) == ["architecture", "regularization", "denoising", "denoising", "denoising"]
    first = frame.iloc[0]
    rows = rows_of(events, "row")
    before = rows[rows["trial"] == first["trial"]].iloc[-1]["validation_mse"]
    assert first["search_validation_mse"] == before
    retrained = rows_of(events, "retrained").set_index("trial")
    values = retrained.loc[first["retraining_trials"].split()]
    assert len(values) == 5
    assert first["test_mse"] == pytest.approx(values["test_mse"].mean())
    assert first["retrained_training_mse"] == pytest.approx(values["training_mse"].mean())
    assert first["published_validation_mse"] == 0.016


def test_a_configuration_retrained_for_one_stage_has_its_test_error_in_every_table(run: Run) -> None:
    frame = cell_frame(run, run.stages["regularization"], "mnist").set_index("regularizer")
    architecture = winner_frame(run, "mnist", Published(None)).iloc[0]
    assert frame.loc["none", "test_mse"] == architecture["test_mse"]
    assert pd.isna(frame.loc["l1", "test_mse"])


def test_a_winner_shared_by_stages_with_different_seeds_owes_the_most_of_them(run: Run) -> None:
    # No regularizer wins: three of the five retrainings of the architecture's winner serve that winner as well.
    none = next(
        t for t in run.stages["regularization"].trials if t.dataset == "mnist" and "none" in dict(t.cell).values()
    )
    assert none.configuration == run.stages["architecture"].best("mnist").configuration
    serves = ("regularization", none.cell, none.name)
    retrainings = tuple(
        dataclasses.replace(retraining, serves=(*retraining.serves, serves))
        if retraining.trial.configuration == none.configuration and retraining.trial.seeds[0] <= 3
        else retraining
        for retraining in run.retrainings
        if retraining.trial.dataset == "mnist"
    )
    frame = winner_frame(dataclasses.replace(run, retrainings=retrainings), "mnist", Published(None))
    line = frame[frame["trial"] == none.name].iloc[0]
    assert (line["num_retrained"], line["num_owed"]) == (5, 5)


def test_several_seeds_of_a_trial_give_an_interval() -> None:
    synthetic = Synthetic(seeds=(1, 2, 3)).build()
    run = read_run(RunState([{"seq": i, "time": 0.0, **event} for i, event in enumerate(synthetic.events)]))
    frame = cell_frame(run, run.stages["architecture"], "fashion_mnist")
    winner = run.stages["architecture"].best("fashion_mnist")
    values = np.array(winner.last.per_seed)
    expected = scipy.stats.t.ppf(0.975, 2) * values.std(ddof=1) / np.sqrt(3)
    assert frame.loc[frame["is_best"], "half_width"].item() == pytest.approx(expected)
    assert set(frame["num_seeds"]) == {3}


def test_the_account_adds_up(run: Run, events: Events) -> None:
    account = account_frame(run)
    rows = rows_of(events, "row")
    assert account["epochs_trained"].sum() == len(rows)
    ends = rows_of(events, "trial_ended")
    for status in ("completed", "stopped", "diverged", "failed"):
        assert account[status].sum() == (ends["status"] == status).sum()
    search = account[account["stage"] == "architecture"].set_index("dataset")
    assert search.loc["mnist", "epochs_full"] == 36 * EPOCHS
    stops = ends[(ends["status"] == "stopped") & ends["trial"].str.startswith("architecture-mnist")]
    assert search.loc["mnist", "stopped_at"] == stops["epochs"].value_counts().sort_index().to_dict()
    seconds = ends.loc[ends["trial"].str.startswith("denoising"), "seconds"].sum()
    hours = account.loc[account["stage"] == "denoising", "core_hours"].sum()
    assert hours == pytest.approx(seconds / 3600)


def test_the_ledger_holds_every_failure_with_its_reason(run: Run, events: Events) -> None:
    found = failure_frame(run).set_index("trial")["reason"].to_dict()
    assert found == {
        e["trial"]: e["reason"] for e in events if e["kind"] == "trial_ended" and e["status"] in ("diverged", "failed")
    }
    assert len(found) == 3


def test_the_ledger_holds_what_was_lost_of_winners_though_the_run_ended_well(
    events: Events, other_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)
    winner = next(e["trial"] for e in events if e["kind"] == "trial_ended" and e["status"] == "completed")
    again = next(e["trial"] for e in events if e["kind"] == "retrained")
    lost = [
        {"kind": "model_lost", "trial": winner, "reason": "checkpoints/a.safetensors is missing"},
        {"kind": "checkpoint_lost", "trial": again, "reason": "checkpoints/b.safetensors is damaged"},
    ]
    mine = [{k: v for k, v in event.items() if k not in ("seq", "time")} for event in [*events[:-1], *lost, events[-1]]]
    write_report(write_events(other_folder, mine))
    found = pd.read_csv(other_folder.tables / "failures.csv").set_index("trial")
    assert found.loc[winner, ["status", "reason"]].tolist() == ["model lost, its numbers stand", lost[0]["reason"]]
    assert found.loc[again, ["status", "reason"]].tolist() == ["checkpoint lost, trained again", lost[1]["reason"]]
    assert lost[0]["reason"] in other_folder.report.read_text()


def test_number_that_stands_alone_is_not_called_the_best(run: Run) -> None:
    """Of a denoiser at noise variance 0 there is neither a noisy input nor a linear denoiser to compare with."""
    frame = cell_frame(run, run.stages["denoising"], "mnist")
    alone = frame.assign(**{name: None for name in frame if name.startswith(("noisy_input", "linear_mmse"))})
    for table in (psnr_table, ssim_table):
        assert "**" in table(run.stages["denoising"], "mnist", frame).markdown
        assert "**" not in table(run.stages["denoising"], "mnist", alone).markdown


def test_every_baseline_behind_a_number_is_one_of_the_run_and_reaches_that_number(run: Run, folder: RunFolder) -> None:
    contents = Contents(RunState.read(folder.journal), folder)
    sections = [section for part in contents.datasets for section in part.sections]
    values = [
        value
        for section in sections
        for table in section.tables
        for row in table.rows
        for value in row
        if isinstance(value, Value) and value.baseline
    ]
    # For each data set: 4 rows by PCA and the mean image, 2 below the regularizers, 3 noise variances by two methods by
    # PSNR on two splits and SSIM on one, and two beside each of two winners.
    assert len(values) == 2 * (4 * 2 + 2 + 3 * 2 * 3 + 2 * 2)
    for value in values:
        shown = value.text.strip("*")
        known = run.baselines[value.baseline]
        assert shown in {number(known["mse"]), number(known["psnr_db"], "psnr_db"), number(known["ssim"], "ssim")}


def test_csv_files_hold_full_precision_and_trial_ids(run: Run, folder: RunFolder) -> None:
    written = pd.read_csv(folder.tables / "mnist-architecture.csv")
    frame = cell_frame(run, run.stages["architecture"], "mnist")
    assert list(written["value"].dropna()) == list(frame["value"].dropna())
    known = {trial.name for trial in run.stages["architecture"].trials}
    assert set(written["trial"].dropna()) <= known
    seeds = pd.read_csv(folder.tables / "retrainings.csv")
    assert list(seeds["test_mse"]) == list(seed_frame(run)["test_mse"])
    assert len(pd.read_csv(folder.tables / "trials.csv")) == len(trial_frame(run)) == 2 * (36 + 16 + 9)
    stopped_at = pd.read_csv(folder.tables / "account.csv", keep_default_na=False)["stopped_at"]
    account = account_frame(run)["stopped_at"]
    assert list(stopped_at) == [" ".join(f"{rung}:{count}" for rung, count in stops.items()) for stops in account]
    assert ":" in stopped_at[0]


def test_csv_files_of_a_run_without_trials_have_a_header(run: Run, folder: RunFolder, other_folder: RunFolder) -> None:
    start = {name: value for name, value in read_journal(folder.journal)[0].items() if name not in ("seq", "time")}
    write_report(write_events(other_folder, [start]))
    for name in ("trials", "retrainings", "account", "failures"):
        full = (folder.tables / f"{name}.csv").read_text().splitlines()[0]
        assert (other_folder.tables / f"{name}.csv").read_text() == f"{full}\n"


def test_fields_of_families_are_columns_of_runs_that_use_them_alone(run: Run) -> None:
    later = {field.name for field in dataclasses.fields(Configuration) if field.metadata == LATER}

    def columns(of: Run) -> set[str]:
        stage = of.stages["architecture"]
        return {*cell_frame(of, stage, "mnist")} | {*winner_frame(of, "mnist", Published(None))}

    assert not later & columns(run) and {"hidden_layers", "model", "learning_rate"} <= columns(run)
    stage = run.stages["architecture"]
    changed = dataclasses.replace(stage.trials[0].configuration, family="convolutional", channels=(4, 8))
    trials = [dataclasses.replace(stage.trials[0], configuration=changed), *stage.trials[1:]]
    stages = {**run.stages, "architecture": dataclasses.replace(stage, trials=trials)}
    assert later & columns(dataclasses.replace(run, stages=stages)) == {"family", "channels"}

"""What a comparison of two runs holds, and which runs it refuses."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pytest
import scipy.stats
from simulated import simulated_events
from synthetic import Synthetic

from aesweep.process.errors import ComparisonError
from aesweep.report.comparison.comparison import as_values, compare
from aesweep.report.comparison.settings import flat
from aesweep.report.comparison.types import Basis, KeyDifference, Verdict
from aesweep.report.rows.reader import read_run
from aesweep.report.rows.types import Run
from aesweep.storage.run_state import RunState

NAMES = ("first", "second")


def events(chance: int = 0, study_seed: int = 1, **changes) -> list[dict]:
    settings = {"seeds": 1, "draws": 0.0, "shift": 0.0, "retrained": 5, "of": "cells"}
    return copy.deepcopy(simulated_events(chance, study_seed, **{**settings, **changes}))


def run(found: list[dict]) -> Run:
    return read_run(RunState(found))


def test_run_beside_itself_is_the_same_everywhere():
    found = compare(run(events()), run(events()), NAMES)
    assert found.study == found.record == found.environment == found.unfinished == ()
    assert all(row.verdict is Verdict.SAME and row.difference == 0 for row in (*found.cells, *found.winners))
    assert len(found.cells) == len(found.winners) == 6


def test_test_values_are_judged_by_scipys_welch_and_holm():
    first, second = events(1), events(2, shift=0.05)
    found = compare(run(first), run(second), NAMES)
    p_values = []
    for row in found.winners:
        sides = []
        for side, known in ((row.reference, first), (row.other, second)):
            sides.append([e["test_mse"] for e in known if e["kind"] == "retrained" and e["trial"] in side.trials])
        expected = scipy.stats.ttest_ind(sides[1], sides[0], equal_var=False)
        assert row.test.p_value == pytest.approx(expected.pvalue)
        assert (row.test.low, row.test.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
        assert row.difference == pytest.approx(np.mean(sides[1]) - np.mean(sides[0]))
        p_values.append(expected.pvalue)
    smallest = min(found.winners, key=lambda row: row.test.p_value)
    assert smallest.adjusted_p == pytest.approx(min(1.0, 6 * min(p_values) / 0.6))


def test_cell_of_one_seed_is_judged_by_the_pooled_spread_of_retrainings():
    first, second = events(1), events(2)
    groups: dict = {}
    for number, known in enumerate((first, second)):
        for event in known:
            if event["kind"] == "retrained":
                group = groups.setdefault((number, event["trial"].rpartition("-")[0]), [])
                group.append(np.log(event["test_mse"]))
    spread = np.sqrt(np.mean([np.var(group, ddof=1) for group in groups.values()]))  # all groups are of one size
    row = compare(run(first), run(second), NAMES).cells[0]
    freedom = 4 + 4  # of two runs with five seeds each, however many configurations
    ratio = np.log(row.other.value / row.reference.value)
    half_width = scipy.stats.t.ppf(0.975, freedom) * spread * np.sqrt(2)
    assert row.basis is Basis.RETRAININGS and row.test.freedom == freedom
    expected = [row.reference.value * (np.exp(ratio + sign * half_width) - 1) for sign in (-1, 1)]
    assert [row.test.low, row.test.high] == pytest.approx(expected)


def test_table_as_a_whole_is_judged_by_means_over_cells_of_each_seed():
    found = compare(run(events(1, seeds=3)), run(events(2, seeds=3)), NAMES)
    sides = []
    for known, side in ((events(1, seeds=3), "reference"), (events(2, seeds=3), "other")):
        names = [getattr(row, side).trials[0] for row in found.cells]
        values = [e["per_seed"] for name in names for e in known if e["kind"] == "row" and e["trial"] == name]
        sides.append(np.log(values).mean(axis=0))
    expected = scipy.stats.ttest_ind(sides[1], sides[0], equal_var=False)
    (table,) = found.tables
    # The mean over seeds of logarithms is not quite the logarithm of the mean over seeds.
    assert table.overall.test.p_value == pytest.approx(expected.pvalue, rel=0.05)
    ratios = [row.other.value / row.reference.value for row in table.rows]
    assert table.overall.difference == pytest.approx(scipy.stats.gmean(ratios) - 1)
    width = np.log1p(table.overall.test.high) - np.log1p(table.overall.test.low)
    assert width == pytest.approx(np.diff(expected.confidence_interval(0.95))[0])
    assert table.overall.num_better == sum(ratio < 1 for ratio in ratios)


def test_table_of_one_seed_varies_as_a_whole_as_one_cell_does():
    found = compare(run(events(1)), run(events(2)), NAMES)
    (table,) = found.tables
    middle = np.log1p(table.overall.difference)
    for row in table.rows:
        half_width = np.log1p(row.test.high / row.reference.value) - np.log(row.other.value / row.reference.value)
        assert np.log1p(table.overall.test.high) - middle == pytest.approx(half_width)


def test_table_of_studies_with_other_seeds_is_not_judged_as_a_whole():
    (table,) = compare(run(events(1)), run(events(2, study_seed=4, shift=1.0)), NAMES).tables
    assert (table.overall.test, table.overall.verdict) == (None, Verdict.UNKNOWN)
    assert table.overall.num_worse == 6


def test_values_that_are_the_same_to_the_last_digit_do_not_count_for_the_correction():
    first, second = events(1), events(1)
    (name,) = {e["trial"].rpartition("-")[0] for e in second if e["kind"] == "retrained"} & {
        "retraining-digits-" + read_run(RunState(first)).retrainings[0].trial.configuration.digest() + "-20"
    }
    changes = iter([1.01, 1.012, 1.011, 1.013, 1.009])
    for event in second:
        if event["kind"] == "retrained" and event["trial"].startswith(name):
            event["test_mse"] *= next(changes)
    found = compare(run(first), run(second), NAMES)
    changed, *others = found.winners
    assert changed.adjusted_p == pytest.approx(changed.test.p_value)  # the only test on the page
    assert all((row.adjusted_p, row.verdict) == (1.0, Verdict.SAME) for row in (*others, *found.cells))


def test_without_any_second_seed_nothing_is_judged():
    found = compare(run(events(1, retrained=1)), run(events(2, retrained=1)), NAMES)
    for row in (*found.cells, *found.winners):
        assert (row.test, row.adjusted_p, row.verdict, row.basis) == (None, None, Verdict.UNKNOWN, Basis.NONE)


def test_one_cell_that_stands_out_is_found_among_runs_of_other_seeds():
    second = events(2, study_seed=9)
    for event in second:
        if event["kind"] == "row" and event["trial"].startswith("architecture-digits-8-1"):
            event["validation_mse"] *= 4
    found = compare(run(events(1)), run(second), NAMES)
    differing = [dict(row.reference.cell) for row in found.cells if row.verdict is Verdict.DIFFERS]
    assert differing == [{"latent_dim": 8, "hidden_layers": (64,)}]
    assert {row.basis for row in found.cells} == {Basis.CELLS}


def test_other_validation_images_count_as_another_seed():
    second = events(2)
    second[0]["study"]["validation_fraction"] = 0.2
    (table,) = compare(run(events(1)), run(second), NAMES).tables
    assert table.other_images and table.basis is Basis.CELLS


def test_difference_that_the_draws_may_have_made_is_told_apart():
    found = compare(run(events(1, draws=0.5)), run(events(2, study_seed=9, draws=0.5)), NAMES)
    verdicts = {row.verdict for row in found.winners}
    assert Verdict.CONFIGURATION in verdicts and Verdict.DIFFERS not in verdicts
    assert all(row.changed == ("learning_rate",) for row in found.winners)


def test_field_that_was_edited_and_not_searched_counts_as_a_difference():
    second = events(2, shift=0.2)
    for event in second:
        if "configuration" in event:
            event["configuration"]["batch_size"] = 32
    found = compare(run(events(1)), run(second), NAMES)
    assert {row.verdict for row in found.winners} == {Verdict.DIFFERS}
    assert {row.changed for row in found.winners} == {("batch_size",)}


def test_stage_winners_in_other_cells_are_compared_as_such():
    second = events(2, of="winner")
    for event in second:
        if event["kind"] == "row" and event["trial"].startswith("architecture-digits-4-1"):
            event["validation_mse"] /= 100
    # What is retrained follows from the winners; the journal's retraining is that of another cell, and serves none.
    assert compare(run(events(1, of="winner")), run(second), NAMES).winners == ()
    found = compare(run(events(1, of="winner")), run(events(2, of="winner", study_seed=5)), NAMES)
    assert len(found.winners) == 1


def test_study_is_compared_key_by_key_with_dotted_keys():
    second = events()
    study = second[0]["study"]
    study["seed"], study["stages"]["architecture"]["epochs"] = 2, 18
    study["datasets"] = [{"name": "digits", "path": "there"}]
    del study["retraining"]["seeds"]
    assert compare(run(events()), run(second), NAMES).study == (
        KeyDifference("seed", 1, 2),
        KeyDifference("stages.architecture.epochs", 9, 18),
        KeyDifference("retraining.seeds", 5, None),
        KeyDifference("datasets.digits.path", None, "there"),
    )


def test_flattening_keeps_lists_and_empty_mappings():
    assert flat({"a": {"b": {"c": [1, {"d": 2}]}, "e": {}}, "f": None}) == {
        "a.b.c": [1, {"d": 2}], "a.e": {}, "f": None
    }  # fmt: skip


def test_versions_and_seeds_are_compared():
    second = events(0, 3)
    second[0]["environment"]["packages"] = {"torch": "3.0.0"}
    found = compare(run(events()), run(second), NAMES)
    assert KeyDifference("packages.torch", None, "3.0.0") in found.environment
    seeds = {part.part: (part.reference, part.other) for part in found.seeds}
    assert seeds == {
        "study": ((1,), (3,)), "architecture": ((1,), (3,)), "retraining": ((1, 2, 3, 4, 5), (3, 4, 5, 6, 7))
    }  # fmt: skip


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_run_under_way_is_compared_as_far_as_it_came(share):
    second = events(2)
    found = compare(run(events(1)), run(second[: int(share * len(second))]), NAMES)
    assert found.unfinished == (("second", "unfinished"),)
    (table,) = found.tables
    assert len(table.rows) + len(table.missing) == 6
    if share < 0.5:
        assert table.is_provisional and {reason for _, reason in table.missing} <= {
            "no trial of the other run was trained to its end", "the other run has no such cell"
        }  # fmt: skip


def refuse(change) -> str:
    second = events(2)
    change(second)
    with pytest.raises(ComparisonError) as raised:
        compare(run(events(1)), run(second), NAMES)
    assert raised.value.exit_code == 65 and len(str(raised.value).splitlines()) == 1
    return str(raised.value)


def test_other_images_are_refused():
    text = refuse(lambda second: second[0]["datasets"]["digits"].update(sha256="0" * 64))
    assert "data set 'digits' of second has other images than that of first: expected sha256 cdcdcdcdcdcd" in text


def test_no_data_set_in_common_is_refused():
    text = refuse(lambda second: second[0].update(datasets={"mnist": {"sha256": "cd" * 32}}))
    assert "second has no data set of first: expected one of digits, got mnist" in text


def test_another_metric_is_refused():
    text = refuse(lambda second: second[1].update(metric="validation_psnr_db", mode="max"))
    assert "expected validation_mse (min), got validation_psnr_db (max)" in text


def test_no_stage_in_common_is_refused():
    def rename(second):
        for event in second:
            if event.get("stage") == "architecture":
                event["stage"] = "other"

    assert "second has no stage of first: expected one of architecture, got other" in refuse(rename)


def test_no_cell_in_common_is_refused():
    def widen(second):
        for event in second:
            if event["kind"] == "trial_created":
                event["cell"]["latent_dim"] += 1

    assert "second has no cell of first: the tables of architecture have other axes or other values" in refuse(widen)


def test_empty_run_is_refused():
    assert "second: nothing was recorded yet" in refuse(lambda second: second.clear())


def test_values_for_scripts_are_plain_and_finite():
    found = as_values(compare(run(events(1)), run(events(2)), NAMES))
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found
    row = found["tables"][0]["rows"][0]
    assert row["reference"]["cell"] == {"latent_dim": 4, "hidden_layers": [64]}
    assert row["difference"] == pytest.approx(row["other"]["value"] - row["reference"]["value"])
    assert row["verdict"] in set(Verdict)


def test_several_data_sets_stages_and_metrics_have_a_table_each():
    first, second = (run(Synthetic(seed).build().events) for seed in (1, 2))
    found = compare(first, second, NAMES)
    assert [(table.dataset, table.stage, table.quantity) for table in found.tables] == [
        (dataset, stage, quantity)
        for stage, quantity in (("architecture", "mse"), ("regularization", "mse"), ("denoising", "psnr_db"))
        for dataset in ("mnist", "fashion_mnist")
    ]
    missing = [(dict(cell), reason) for cell, reason in found.tables[0].missing]
    assert missing == [({"latent_dim": 30, "hidden_layers": (512, 128)}, "no trial of either was trained to its end")]
    assert {row.quantity for row in found.winners} == {"mse", "psnr_db"}
    assert not any(row.verdict is Verdict.DIFFERS for row in (*found.cells, *found.winners))
    assert not re.search("nan|inf", json.dumps(as_values(found)), re.IGNORECASE)


def test_psnr_of_several_seeds_is_judged_by_the_spread_of_their_mse():
    first, second = (Synthetic(seed, seeds=(1, 2, 3)).build().events for seed in (1, 2))
    found = compare(run(first), run(second), NAMES)
    row = next(row for row in found.cells if row.quantity == "psnr_db")
    sides = []
    for known, side in ((first, row.reference), (second, row.other)):
        rows = [e for e in known if e["kind"] == "row" and e["trial"] == side.trials[0]]
        sides.append([-10 * np.log10(mse) for mse in rows[-1]["per_seed"]])
    expected = scipy.stats.ttest_ind(sides[1], sides[0], equal_var=False).confidence_interval(0.95)
    assert row.basis is Basis.WELCH
    assert row.test.high - row.test.low == pytest.approx(expected.high - expected.low)
    assert (row.test.low + row.test.high) / 2 == pytest.approx(row.difference)

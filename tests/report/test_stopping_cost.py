"""What stopping early cost: intervals that hold in simulated runs, closed forms, and what the report says of a run."""

from __future__ import annotations

import dataclasses
import functools
import types

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from aesweep.report.analysis.account import worker_seconds
from aesweep.report.analysis.audit import Audit, audit_of, most_lost
from aesweep.report.rows.reader import read_run
from aesweep.report.rows.types import Epoch, Stage, Trial
from aesweep.report.sections.contents import Contents
from aesweep.report.sections.stopping import audit_sentences, audit_table
from aesweep.results import load_run
from aesweep.search.schedulers.asha import Asha
from aesweep.search.schedulers.audit import is_drawn
from aesweep.storage.event import Action
from aesweep.storage.events import Decision
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.configuration import Configuration
from aesweep.study.schema import Stage as StageSettings
from aesweep.study.study_file import load_study
from tests.export.exported_runs import Quiet
from tests.search.toy_cluster import finished, toy, toy_images  # noqa: F401 - fixtures

RUNGS, EPOCHS = (1, 3, 9), 27
CONFIGURATION = Configuration(hidden_layers=(8,), latent_dim=2)


@functools.cache
def settings(share: float) -> StageSettings:
    return StageSettings.model_validate(
        {
            "space": {"hidden_layers": [4], "latent_dim": {"grid": [2]}},
            "table": {"rows": "latent_dim"},
            "epochs": EPOCHS,
            "asha": {"audit": share},
        }
    )


def simulated(number: int, share: float, noise: float) -> tuple[Audit, int]:
    """What the audit of a searched stage found, and how many of its cells lost their winner in truth.

    Args:
        number: of the simulation.
        share: the share of the audit.
        noise: how far early values are off what they foretell.
    """
    rng = np.random.default_rng([number, int(100 * share), int(100 * noise)])
    trials, lost, stage = [], 0, settings(share)
    for cell in range(24):
        asha, last = Asha(list(RUNGS), 3, "min"), rng.lognormal(0, 0.1, 7)
        mine = []
        for k, value in enumerate(last):
            early = value * np.exp(noise * rng.normal(size=len(RUNGS)))
            name = f"{cell}-{k}"
            mine.append(searched(name, cell, (*early, value), asha, is_drawn(stage, f"{number}", name)))
        lost += mine[int(last.argmin())].stopped_at is not None
        trials += mine
    run = types.SimpleNamespace(study={"stages": {"s": {"asha": {"audit": share}}}})
    shown = ("s", "validation_mse", "min", "latent_dim", None, RUNGS, EPOCHS, None, None, tuple(trials), {}, None)
    return audit_of(run, Stage(*shown), "digits"), lost


def searched(name: str, cell: int, values: tuple[float, ...], asha: Asha, drawn: bool) -> Trial:
    """A trial with values at the rungs and at the end, and no other epochs."""
    epochs, further, decisions, status = [], [], [], "completed"
    for epoch, value in zip((*RUNGS, EPOCHS), values, strict=True):
        (further if status == "audited" else epochs).append(Epoch(epoch, value, value, value, None, 1.0, ()))
        found = asha.decide(name, epoch, value) if status == "completed" else None
        if found is None:
            continue
        told = {"value": value, "cutoff": found.cutoff, "num_compared": found.num_compared}
        decisions.append(Decision(trial=name, epoch=epoch, action=found.action(drawn), **told))
        status = {"continue": "completed", "stop": "stopped", "audit": "audited"}[decisions[-1].action]
        if status == "stopped":
            break
    place = name, "s", "digits", (("latent_dim", cell),), CONFIGURATION, (0,), EPOCHS
    return Trial(*place, tuple(epochs), tuple(decisions), status, None, 1.0, None, tuple(further))


@pytest.mark.parametrize(("share", "noise"), [(0.1, 0.05), (0.1, 0.3), (0.3, 0.15), (0.3, 0.5), (1.0, 0.15)])
def test_interval_holds_the_truth_in_at_least_93_of_100_runs(share, noise):
    found = [simulated(number, share, noise) for number in range(100)]
    assert sum(audit.num_lost <= lost <= audit.most_lost for audit, lost in found) >= 93
    truths = [lost for _, lost in found]
    assert 0 < np.mean(truths) < 24
    if share == 1:
        assert all(audit.num_lost == lost == audit.most_lost for audit, lost in found)


def test_interval_is_the_shorter_the_more_is_trained_on():
    def width(share):
        found = [simulated(number, share, 0.15)[0] for number in range(30)]
        return np.median([audit.most_lost - audit.num_lost for audit in found])

    widths = [width(share) for share in (0.1, 0.3, 0.6, 1.0)]
    assert widths == sorted(widths, reverse=True) and widths[0] > 1.5 * widths[2] > 0 == widths[3]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.75])
@pytest.mark.parametrize("num_seen", [0, 1, 2, 5])
def test_bound_is_that_of_clopper_and_pearson(share, num_seen):
    most = most_lost(num_seen, share)

    # The probability of seeing so few, summed term by term.
    def few(lost):
        return sum(binom.pmf(k, lost, share) for k in range(num_seen + 1))

    assert few(most) > 0.05 >= few(most + 1)


def test_of_no_lost_winner_seen_the_bound_is_in_closed_form():
    # (1 - p) ** L > 0.05.
    assert most_lost(0, 0.1) == int(np.log(0.05) / np.log(0.9))
    assert most_lost(0, 1) == 0
    assert [most_lost(seen, 0.1, 24) for seen in (0, 1, 24)] == [24, 24, 24]
    assert most_lost(2, 0.75, 24) == most_lost(2, 0.75)


def test_share_may_be_as_small_as_one_likes():
    """Alone it would allow 3e9 lost cells, which nobody counts up to."""
    audit, _ = simulated(0, 1e-9, 0.3)
    assert audit.num_lost == 0 and 12 < audit.most_lost <= audit.num_cells == 24


@pytest.fixture
def run(small_study, write_study, tmp_path, images):
    stage = small_study["stages"]["architecture"]
    stage.update(samples=9, epochs=9, asha={"grace_period": 1, "reduction_factor": 3, "audit": 1})
    del small_study["stages"]["regularization"]
    folder = RunFolder(tmp_path / "run")
    return folder, finished(load_study(write_study(small_study)), folder, images)


def test_report_agrees_with_the_journal(run):
    folder, events = run
    state = RunState(events)
    seen = read_run(state)
    stage = seen.stages["architecture"]
    audit = audit_of(seen, stage, "digits")
    rows = pd.DataFrame([event for event in events if event["kind"] == "row" and "validation_mse" in event])
    cells = {e["trial"]: str(e["cell"]) for e in events if e["kind"] == "trial_created"}
    ends = {e["trial"]: e["status"] for e in events if e["kind"] == "trial_ended"}
    last = rows[rows["epoch"] == 9].set_index("trial")["validation_mse"]
    lost, beaten = set(), 0
    for trial, value in last.items():
        if ends[trial] == "audited":
            rivals = [
                last[other] for other in last.index if cells[other] == cells[trial] and ends[other] == "completed"
            ]
            beaten += value < min(rivals)
            lost |= {cells[trial]} if value < min(rivals) else set()
    assert (audit.num_lost, audit.most_lost) == (len(lost), len(lost))
    assert sum(found.would_have_won for found in audit.trials) == beaten
    assert audit.num_stopped == len(audit.trials) == sum(status == "audited" for status in ends.values()) > 0
    frame = load_run(folder.root).audit
    assert len(frame) == audit.num_stopped and frame["would_have_won"].sum() == beaten
    merged = frame.merge(last.rename("end"), left_on="trial", right_index=True)
    assert (merged["value"] == merged["end"]).all() and (merged["stopped_after"] < 9).all()


def test_page_tells_what_stopping_cost(run):
    folder, events = run
    contents = Contents(RunState(events), folder)
    (part,) = contents.datasets
    (section,) = [section for section in part.sections if section.title == "What stopping early cost"]
    stage = contents.run.stages["architecture"]
    audit = audit_of(contents.run, stage, "digits")
    assert section.tables == [audit_table([(stage, audit)])] and section.prose == audit_sentences(stage, audit)
    assert len(contents.frames["audit"]) == audit.num_stopped
    assert contents.frames["account"].loc[0, "epochs_trained"] == contents.frames["account"].loc[0, "epochs_full"]
    assert set(contents.frames["trials"]["status"]) == {"completed", "audited"}


def test_stage_without_a_trial_of_the_data_set_or_before_any_audit_ends_has_no_broken_table(run):
    """As where a sampler that learns has not come to a data set yet, or a run is read before a trial is stopped."""
    folder, events = run
    state = RunState(events)
    stage = read_run(state).stages["architecture"]
    assert audit_of(read_run(state), stage, "another data set") is None
    first = next(number for number, event in enumerate(events) if event["kind"] == "decision")
    contents = Contents(RunState(events[: first + 1]), folder)
    (section,) = [found for found in contents.datasets[0].sections if found.title == "What stopping early cost"]
    assert "audit" not in contents.frames and "audit.csv" not in section.footer and section.prose == []


def test_time_of_a_trial_that_goes_on_out_of_competition_counts_before_it_has_ended(run):
    _, events = run
    stopped = next(event for event in events if event["kind"] == "decision" and event["action"] == "audit")["trial"]
    last = next(n for n, event in enumerate(events) if event["kind"] == "trial_ended" and event["trial"] == stopped)
    (trial,) = [
        found for found in read_run(RunState(events[:last])).stages["architecture"].trials if found.name == stopped
    ]
    rows = [event for event in events[:last] if event["kind"] == "row" and event["trial"] == stopped]
    assert trial.status == "unfinished" and trial.seconds is None and len(trial.audit) > 0
    assert worker_seconds(trial) == pytest.approx(sum(row["seconds"] for row in rows))


def test_rows_out_of_competition_are_marked_and_not_exported(run, tmp_path):
    tensorboard = pytest.importorskip(
        "aesweep.export.tensorboard", reason="NOT RUN: pip install 'aesweep[tensorboard]'"
    )
    from aesweep.export.trial_record import trial_records

    folder, events = run
    loaded = load_run(folder.root)
    marked = loaded.rows[loaded.rows["is_audit"]]
    stopped = {e["trial"]: e["epoch"] for e in events if e["kind"] == "decision" and e["action"] == "audit"}
    assert dict(marked.groupby("trial")["epoch"].min() - 1) == stopped
    for record in trial_records(loaded):
        if record.name in stopped:
            assert [row.epoch for row in record.rows] == list(range(1, stopped[record.name] + 1))
    exported = tensorboard.TensorBoardExporter(tmp_path / "events").write(loaded, Quiet())
    assert exported.num_rows == len(loaded.rows) - len(marked)


def test_sentence_says_who_would_have_won_by_most_and_how_far_the_others_ended_behind():
    audit, lost = next(pair for pair in (simulated(number, 1.0, 0.5) for number in range(9)) if pair[1])
    stage = types.SimpleNamespace(name="s", metric="validation_mse", mode="min")
    ahead, behind = audit_sentences(stage, audit)
    ratios = {found.trial.name: found.value / found.winner_value for found in audit.trials}
    first = min(ratios, key=ratios.get)
    assert f"`{first}`" in ahead and f"{100 * (1 - ratios[first]):.1f} % better" in ahead
    worse = [100 * (ratio - 1) for ratio in ratios.values() if ratio > 1]
    assert f"{np.median(worse):.1f} % worse" in behind and f"{len(worse)} trials" in behind
    assert len({found.trial.cell for found in audit.trials if found.would_have_won}) == lost


def test_table_and_sentence_know_the_metric_and_small_shares():
    def trial(name: str, psnr: float, status: str) -> Trial:
        epoch = Epoch(EPOCHS, 0.1, 0.1, 0.1, psnr, 1.0, ())
        first = dataclasses.replace(epoch, epoch=1, validation_psnr_db=psnr - 1)
        decision = Decision(trial=name, epoch=1, action=Action.AUDIT, value=psnr, cutoff=psnr + 1, num_compared=1)
        epochs, audit = ((first, epoch), ()) if status == "completed" else ((first,), (epoch,))
        decisions = () if status == "completed" else (decision,)
        place = name, "s", "digits", (("latent_dim", 2),), CONFIGURATION, (0,), EPOCHS
        return Trial(*place, epochs, decisions, status, None, 1.0, None, audit)

    trials = trial("a", 17.251, "completed"), trial("b", 18.501, "audited"), trial("c", 16.25, "audited")
    run = types.SimpleNamespace(study={"stages": {"s": {"asha": {"audit": 0.002}}}})
    stage = Stage("s", "validation_psnr_db", "max", "latent_dim", None, (1,), EPOCHS, None, None, trials, {}, None)
    audit = audit_of(run, stage, "digits")
    assert [found.would_have_won for found in audit.trials] == [True, False]
    ahead, behind = audit_sentences(stage, audit)
    assert "it ended at validation PSNR 18.50 dB, 1.25 dB better than `a`" in ahead
    assert "1 trial that was trained on ended 1.00 dB worse" in behind
    assert audit_table([(stage, audit)]).rows[0][1] == "0.2 %"

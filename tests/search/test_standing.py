"""Trials' standing among their rivals: by halving in hindsight, and whatever the scale of a cell's values."""

from __future__ import annotations

import math
import random

import pytest

from aesweep.search.samplers.standing import standings
from aesweep.storage.event import TrialStatus
from aesweep.storage.events import Row, TrialCreated, TrialEnded
from aesweep.storage.run_state import TrialState
from aesweep.study.schema import Stage


def stage(epochs: int = 9, metric: str = "validation_mse", **changes) -> Stage:
    return Stage.model_validate(
        {
            "space": {"hidden_layers": [4], "latent_dim": {"grid": [2, 3]}},
            "table": {"rows": "latent_dim"},
            "epochs": epochs,
            "metric": metric,
            **changes,
        }
    )


def trial(name: str, values: list[float], cell: int = 2, epochs: int = 9, status: str | None = "by length"):
    """A trial with these values after its epochs; it was stopped where it has fewer than its budget."""
    created = TrialCreated(
        stage="s", dataset="d", trial=name, cell={"latent_dim": cell}, configuration={}, seeds=[1], epochs=epochs
    )
    found = TrialState(created)
    for epoch, value in enumerate(values, 1):
        fields = {"loss": value, "training_mse": value, "validation_mse": value, "validation_psnr_db": -value}
        found.apply(Row(trial=name, epoch=epoch, learning_rate=0.1, seconds=1.0, **fields))
    if status == "by length":
        status = "completed" if len(values) == epochs else "stopped"
    if status:
        end = TrialEnded(trial=name, status=TrialStatus(status), epochs=len(values), reason=None, seconds=1.0)
        found.apply(end)
    return found


def order(trials, settings) -> list[str]:
    found = standings(trials, settings)
    return sorted(found, key=found.get)


def curve(rung1: float, rung3: float | None = None, last: float | None = None) -> list[float]:
    """Values at epochs 1, 3 and 9, and what lies between."""
    if rung3 is None:
        return [rung1]
    return [rung1, rung1, rung3] if last is None else [rung1, rung1, rung3, *[rung3] * 5, last]


def test_trial_that_came_further_stands_before_those_that_were_stopped():
    trials = [trial("a", curve(5, 4, 3)), trial("b", curve(6)), trial("c", curve(4, 5)), trial("d", curve(3, 2, 1))]
    assert order(trials, stage()) == ["d", "c", "a", "b"] or order(trials, stage())[0] == "d"
    assert order(trials, stage())[-1] == "b"


def test_early_trial_that_was_trained_on_though_worse_keeps_its_place_at_the_rung():
    # The first at a rung always goes on. At epoch 1 it is the worst of four, and in the end worse than the best.
    trials = [trial("first", curve(9, 8, 7)), trial("b", curve(6)), trial("c", curve(5)), trial("d", curve(3, 2, 1))]
    assert order(trials, stage()) == ["d", "c", "b", "first"]


def test_early_trial_that_proves_better_in_the_end_stands_first():
    trials = [trial("first", curve(9, 8, 0.5)), trial("b", curve(6)), trial("c", curve(5)), trial("d", curve(3, 2, 1))]
    assert order(trials, stage()) == ["first", "d", "c", "b"]


def test_diverged_trials_stand_last_and_those_without_a_rung_or_with_a_failure_nowhere():
    trials = [
        trial("good", curve(1, 1, 1)),
        trial("stopped", curve(2)),
        trial("diverged", curve(0.1), status="diverged"),
        trial("failed", curve(0.1), status="failed"),
        trial("begun", [], status=None),
        trial("running", curve(1.5), status=None),
    ]
    assert order(trials, stage()) == ["good", "running", "stopped", "diverged"]


@pytest.mark.parametrize("seed", range(10))
def test_standing_does_not_depend_on_how_hard_a_cell_is(seed):
    draws = random.Random(seed)
    values = [sorted((draws.random() for _ in range(3)), reverse=True) for _ in range(12)]
    lengths = [draws.choice([1, 2, 3]) for _ in values]

    def cell(number, change):
        return [
            trial(f"{number}-{k}", curve(*map(change, found[:length])), cell=number)
            for k, (found, length) in enumerate(zip(values, lengths, strict=True))
        ]

    found = standings([*cell(2, lambda value: value), *cell(3, lambda value: 1e6 * math.exp(3 * value))], stage())
    for k in range(12):
        assert found[f"2-{k}"] == found[f"3-{k}"]


def test_budgets_are_compared_apart_and_the_better_value_of_a_metric_may_be_the_greater():
    trials = [trial("a", [2, 1, 1]), trial("b", [1, 1, 2]), trial("longer", [9] * 9, epochs=9)]
    for one in trials[:2]:
        one.created = TrialCreated(**{**one.created.__dict__, "epochs": 3})
        one.end = None
        one.apply(TrialEnded(trial="x", status=TrialStatus.COMPLETED, epochs=3, reason=None, seconds=1.0))
    settings = stage(epochs=3, asha="none")
    assert order(trials[:2], settings) == ["a", "b"]
    assert standings(trials, settings)["longer"] == 0.5
    assert order(trials[:2], stage(epochs=3, asha="none", metric="validation_psnr_db")) == ["a", "b"]

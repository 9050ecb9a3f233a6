"""ASHA within a cell, against Ray Tune's own and by its promises."""

from __future__ import annotations

import types

import numpy as np
import pytest

from aesweep.search.schedulers.asha import Asha
from aesweep.study.schema import Stage


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("grace", "factor", "epochs"), [(1, 2, 16), (1, 3, 27), (2, 4, 33), (3, 3, 30)])
def test_decisions_equal_those_of_ray_tune(mode, grace, factor, epochs):
    from ray.tune.schedulers import AsyncHyperBandScheduler

    rng = np.random.default_rng([grace, factor, epochs])
    rungs = stage(grace, factor, epochs).rungs()
    ours = Asha(rungs, factor, mode)
    theirs = AsyncHyperBandScheduler(
        "epoch", metric="loss", mode=mode, max_t=epochs, grace_period=grace, reduction_factor=factor
    )
    waiting = [(f"t{k}", 1) for k in range(40)]
    for name, _ in waiting:
        theirs.on_trial_add(None, types.SimpleNamespace(trial_id=name))
    stops = 0
    while waiting:
        name, epoch = waiting.pop(int(rng.integers(min(4, len(waiting)))))
        value = float(rng.normal())
        if epoch == epochs:
            continue
        decision = ours.decide(name, epoch, value)
        keep = decision is None or decision.keep
        trial = types.SimpleNamespace(trial_id=name)
        theirs_keep = theirs.on_trial_result(None, trial, {"epoch": epoch, "loss": value}) == "CONTINUE"
        assert keep == theirs_keep, (name, epoch)
        stops += not keep
        if keep:
            waiting.insert(0, (name, epoch + 1))
    assert stops > 10


def stage(grace: int, factor: float, epochs: int) -> Stage:
    return Stage.model_validate(
        {
            "space": {"hidden_layers": [4], "latent_dim": {"grid": [2]}},
            "table": {"rows": "latent_dim"},
            "epochs": epochs,
            "asha": {"grace_period": grace, "reduction_factor": factor},
        }
    )


@pytest.mark.parametrize("seed", range(20))
def test_best_trial_of_a_rung_always_goes_on(seed):
    rng = np.random.default_rng(seed)
    asha, seen = Asha([1], 3, "min"), []
    for number, value in enumerate(rng.random(30)):
        decision = asha.decide(f"t{number}", 1, value)
        if not seen or value <= min(seen):
            assert decision.keep
        assert decision.num_compared == len(seen)
        seen.append(value)


def test_about_one_in_reduction_factor_goes_on():
    rng = np.random.default_rng(0)
    asha = Asha([1], 4, "max")
    kept = sum(asha.decide(str(number), 1, value).keep for number, value in enumerate(rng.random(2000)))
    assert kept / 2000 == pytest.approx(1 / 4, abs=0.03)


def test_epoch_that_is_no_rung_gives_no_decision():
    assert Asha([1, 3], 3, "min").decide("t", 2, 0.5) is None


def test_value_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        Asha([1], 3, "min").decide("t", 1, float("nan"))


def test_rungs_grow_by_the_reduction_factor_and_end_before_the_last_epoch():
    assert stage(1, 3, 27).rungs() == [1, 3, 9]
    assert stage(2, 2, 10).rungs() == [2, 4, 8]
    assert stage(5, 3, 5).rungs() == []

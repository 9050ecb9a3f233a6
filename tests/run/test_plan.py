"""The plan's time is that of the trainings, each with the seconds an image that its own model takes."""

from __future__ import annotations

import time

import pytest

from aesweep.run.preflight import plan
from aesweep.run.preflight.step_timer import TIMED_STEPS, StepTimer
from aesweep.study.configuration import Configuration
from aesweep.study.study_file import check_study
from aesweep.training.pack import Pack

SECONDS = {(8,): 1e-4, (16,): 1e-3, (32,): 1e-2}  # per image, by hidden layers
SIZES = {"digits": (1000, (1, 8, 8))}


class Timer:
    """A timer that knows already."""

    def seconds_per_image(
        self, configuration: Configuration, image_shape: tuple[int, ...], num_members: int = 1
    ) -> float:
        assert image_shape == (1, 8, 8)
        return SECONDS[configuration.hidden_layers]


def planned(retraining: dict, **stage: object) -> tuple[plan.StagePlan, dict]:
    search = {
        "space": {"hidden_layers": {"grid": [list(widths) for widths in SECONDS]}, "latent_dim": {"grid": [2, 3]}},
        "table": {"rows": "latent_dim", "columns": "hidden_layers"},
        "epochs": 4,
        "asha": "none",
        "retraining": retraining,
    }
    values = {"name": "x", "datasets": ["digits"], "stages": {"architecture": {**search, **stage}}}
    values["resources"] = {"trainers": 0}
    study = check_study(values, "a test")
    stages, found = plan.plan_study(study, SIZES, 2, study.resources, Timer())
    return stages[0], found


def test_search_takes_what_its_trials_take():
    (stage, _) = planned({"of": "none"})
    assert stage.seconds == pytest.approx(2 * 4 * 900 * sum(SECONDS.values()) / 2, abs=0.06)  # a tenth validates


def test_each_cell_is_retrained_at_its_own_cost():
    _, found = planned({"of": "cells", "epochs": 7, "seeds": 3})
    assert (found["num_trainings"], found["epochs"]) == (6 * 3, 6 * 3 * 7)
    assert found["seconds"] == pytest.approx(2 * 3 * 7 * 1000 * sum(SECONDS.values()) / 2, abs=0.06)
    parameters = [
        sum(rows * columns + columns for rows, columns in ((64, width), (width, z), (z, width), (width, 64)))
        for width in (8, 16, 32)
        for z in (2, 3)
    ]
    assert found["checkpoint_bytes"] == 4 * 3 * sum(parameters)


def test_cell_of_several_models_has_its_slowest_for_a_winner():
    _, found = planned({"of": "cells", "epochs": 7, "seeds": 3}, table={"rows": "latent_dim"})
    assert found["seconds"] == pytest.approx(2 * 3 * 7 * 1000 * 1e-2 / 2, abs=0.06)


def test_winner_is_planned_as_the_slowest_model():
    _, found = planned({"of": "winner", "epochs": 7, "seeds": 3})
    assert found["num_trainings"] == 3 and found["seconds"] == pytest.approx(3 * 7 * 1000 * 1e-2 / 2, abs=0.06)


def test_what_other_work_takes_is_not_counted(monkeypatch):
    train = Pack.train_epoch

    def beside_other_work(pack: Pack) -> object:
        time.sleep(0.5)  # seconds in which this process does not have the processor
        return train(pack)

    monkeypatch.setattr(Pack, "train_epoch", beside_other_work)
    configuration = Configuration(hidden_layers=(8,), latent_dim=2)
    num_images = TIMED_STEPS["cpu"] * configuration.batch_size
    assert 0 < StepTimer("fp32").seconds_per_image(configuration, (1, 8, 8)) < 0.5 / num_images
